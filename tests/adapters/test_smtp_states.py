"""Any client that could be: a model of the session says what each command must be answered.

Hypothesis makes up sessions, in plain text, after STARTTLS and by implicit TLS, with and without a
login. What holds in all of them: one well-formed reply to each command, and the one that the model
expects; nothing in the log that is a bug; no stop of the event loop above 50 ms; nothing left of a
session that has ended, neither its place nor its memory.
"""

import io
import re
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.canary import SECRET
from tests.dialogue import plain
from tests.serving import MAIL, MAILBOX, RECIPIENT, USER_NAME
from tests.threaded import Line, ThreadedRelay

MAX_STOP_S = 0.05
ENHANCED = re.compile(r"([245])[0-9]{2} \1\.[0-9]\.[0-9]{1,2} ")
LOGIN = f"AUTH PLAIN {plain(USER_NAME, SECRET)}"
ERRORS = {500, 501, 503, 504, 530, 538, 555}

words = st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=20)
controls = st.sampled_from(["\0", "\r", "\x1b", "\x7f", "\x08"])
contents = st.sampled_from([MAIL, b"", b"\r\n", MAIL + b"..x\r\n", MAIL + b"a\rb\nc\0\r\n"])


class Session(Line):
    """A connection, and what is known of it."""

    def __init__(self, relay: ThreadedRelay, *, is_implicit: bool) -> None:
        super().__init__(relay, is_implicit=is_implicit)
        self.is_greeted = self.is_logged_in = self.is_over = False
        self.has_mail = self.has_chunks = False
        self.recipients = self.errors = self.unknown = self.idle = 0

    def forget_mail(self) -> None:
        """Be outside of a transaction."""
        self.has_mail = self.has_chunks = False
        self.recipients = 0


class Sessions(RuleBasedStateMachine):
    """Sessions, one after the other, each as far as it goes."""

    relay: ClassVar[ThreadedRelay]

    def __init__(self) -> None:
        super().__init__()
        self.session: Session | None = None

    # The model ----------------------------------------------------------------------------------

    def expect(self, expected: int, reply: str) -> None:
        """Hold one reply against what the model says, limits of errors included."""
        session = self.open
        session.errors += expected in ERRORS
        has_strayed = session.unknown >= 3 or session.errors > 10
        code = int(reply[:3])
        if has_strayed and expected not in (221, 421, 502, 552):
            expected = 421
        assert code == expected, f"expected {expected}: {reply}"
        if expected in (221, 421):
            session.is_over = True

    def say(self, line: str, expected: int, *more: bytes, greets: bool = False) -> str:
        """Send one command, with what belongs to it, and hold its reply against the model."""
        self.open.send(line.encode("utf-8", "surrogateescape") + b"\r\n" + b"".join(more))
        reply = self.open.reply()
        if not greets and reply[0] in "245":
            assert ENHANCED.match(reply), reply
        self.expect(expected, reply)
        return reply

    def idle(self, line: str, expected: int, *, greets: bool = False) -> None:
        """Say a command that gets nobody any further."""
        self.open.idle += 1
        is_enough = self.open.idle > 20
        self.say(line, 421 if is_enough else expected, greets=greets and not is_enough)

    @property
    def open(self) -> Session:
        """The session that is open."""
        assert self.session is not None
        return self.session

    def before_mail(self) -> int:
        """Return what refuses whatever needs a login; 0 if nothing does."""
        if not self.open.is_encrypted:
            return 530
        if not self.open.is_greeted:
            return 503
        return 0 if self.open.is_logged_in else 530

    is_open = precondition(lambda self: self.session is not None and not self.session.is_over)
    is_ready = precondition(
        lambda self: (
            self.session is not None and not self.session.is_over and self.session.recipients > 0
        )
    )

    # The ways in --------------------------------------------------------------------------------

    @precondition(lambda self: self.session is None)
    @rule(is_implicit=st.booleans())
    def connect(self, is_implicit: bool) -> None:
        """Begin a session."""
        self.session = Session(self.relay, is_implicit=is_implicit)
        assert self.session.reply().startswith("220 relay.example ")

    @precondition(lambda self: self.session is None)
    @rule(is_implicit=st.booleans(), recipients=st.integers(0, 3))
    def connect_and_begin(self, is_implicit: bool, recipients: int) -> None:
        """Begin a session as a device does, so that more of them come so far."""
        self.connect(is_implicit)
        if not is_implicit:
            self.ehlo("EHLO")
            self.starttls()
        self.ehlo("EHLO")
        self.login()
        self.mail(f"MAIL FROM:<{MAILBOX}>", 250)
        for _ in range(recipients):
            self.rcpt()

    @is_open
    @rule(verb=st.sampled_from(["EHLO", "HELO", "ehlo"]))
    def ehlo(self, verb: str) -> None:
        """Greet."""
        self.idle(f"{verb} device.example", 250, greets=True)
        if not self.open.is_over:
            self.open.forget_mail()
            self.open.is_greeted = True

    @is_open
    @rule()
    def starttls(self) -> None:
        """Begin TLS, also where there is some."""
        is_possible = not self.open.is_encrypted
        self.say("STARTTLS", 220 if is_possible else 503)
        if is_possible and not self.open.is_over:
            self.open.shake_hands()
            self.open.forget_mail()
            self.open.is_greeted = False

    # Logins -------------------------------------------------------------------------------------

    def before_login(self) -> int:
        """Return what refuses a login; 0 if nothing does."""
        if not self.open.is_encrypted:
            return 538
        is_in_order = self.open.is_greeted and not self.open.is_logged_in and not self.open.has_mail
        return 0 if is_in_order else 503

    @is_open
    @rule()
    def login(self) -> None:
        """Log in."""
        expected = self.before_login() or 235
        self.say(LOGIN, expected)
        self.open.is_logged_in |= expected == 235 and not self.open.is_over

    @is_open
    @rule(
        line=st.sampled_from(["AUTH", "AUTH NTLM", "AUTH PLAIN *", "AUTH PLAIN {", "AUTH plain ="])
    )
    def login_wrongly(self, line: str) -> None:
        """Say AUTH in a way that no login comes of."""
        wrong = 504 if "NTLM" in line else 501
        self.say(line, self.before_login() or wrong)

    @is_open
    @rule(word=st.sampled_from(["*", "#", "not base64"]))
    def login_in_steps_and_stop(self, word: str) -> None:
        """Break off at the prompt."""
        refusal = self.before_login()
        self.say("AUTH LOGIN", refusal or 334)
        if not refusal:
            self.say(word, 501)

    # Transactions -------------------------------------------------------------------------------

    @is_open
    @rule(
        line_and_code=st.sampled_from(
            [
                (f"MAIL FROM:<{MAILBOX}>", 250),
                (f"mail from: {MAILBOX} SIZE=2000 BODY=8BITMIME AUTH=<>", 250),
                ("MAIL FROM:<>", 250),
                (f"MAIL FROM:<{MAILBOX}> SIZE=2001", 552),
                ("MAIL FROM:<x", 553),
                ("MAIL", 501),
                (f"MAIL FROM:<{MAILBOX}> RET=HDRS", 555),
                (f"MAIL FROM:<{MAILBOX}> SIZE=\N{SUPERSCRIPT TWO}", 501),
            ]
        )
    )
    def any_mail(self, line_and_code: tuple[str, int]) -> None:
        """Begin a transaction, or fail to."""
        self.mail(*line_and_code)

    def mail(self, line: str, code: int) -> None:
        """Say MAIL."""
        refusal = self.before_mail() or (503 if self.open.has_mail else 0)
        self.say(line, refusal or code)
        self.open.has_mail |= not refusal and code == 250 and not self.open.is_over

    @is_open
    @rule()
    def rcpt(self) -> None:
        """Name a recipient."""
        session = self.open
        refusal = self.before_mail() or (503 if not session.has_mail or session.has_chunks else 0)
        is_full = session.recipients >= 3
        self.say(f"RCPT TO:<{RECIPIENT}>", refusal or (452 if is_full else 250))
        session.recipients += not refusal and not is_full and not session.is_over

    @is_open
    @rule(name=words)
    def rcpt_of_nobody(self, name: str) -> None:
        """Name what is no recipient."""
        session = self.open
        refusal = self.before_mail() or (503 if not session.has_mail or session.has_chunks else 0)
        self.say(f"RCPT TO:<{name}", refusal or 553)

    # Content ------------------------------------------------------------------------------------

    def submitted(self, size: int) -> int:
        """Return the reply to a whole message, and be outside of its transaction."""
        self.open.forget_mail()
        return 552 if size > 2000 else 250

    def accepted(self, reply: str) -> None:
        """Let idle commands count anew."""
        if reply.startswith("250 2.0.0 Accepted"):
            self.open.idle = 0

    @is_open
    @rule(content=contents | st.just(b"x" * 2001 + b"\r\n"))
    def data(self, content: bytes) -> None:
        """Send a message, or hear why not."""
        refusal = self.before_mail()
        if not refusal and (not self.open.recipients or self.open.has_chunks):
            refusal = 503
        self.say("DATA", refusal or 354)
        if not refusal:
            self.open.send(content + b".\r\n")
            reply = self.open.reply()
            self.expect(self.submitted(len(content)), reply)
            self.accepted(reply)

    @is_ready
    @rule(content=contents)
    def data_in_order(self, content: bytes) -> None:
        """Send a message when all is ready for it, so that more of them come so far."""
        self.data(content)

    @is_open
    @rule(content=contents | st.just(b"RSET\r\nQUIT\r\n"), is_last=st.booleans())
    def bdat(self, content: bytes, is_last: bool) -> None:
        """Send a chunk, or hear why not; it is never taken for commands."""
        refusal = self.before_mail() or (0 if self.open.recipients else 503)
        expected = refusal or (self.submitted(len(content)) if is_last else 250)
        reply = self.say(f"BDAT {len(content)}{' LAST' * is_last}", expected, content)
        self.accepted(reply)
        if not refusal and not is_last:
            self.open.has_chunks = True

    # Commands that do nothing, and no commands at all -------------------------------------------

    @is_open
    @rule()
    def rset(self) -> None:
        """Take everything back."""
        self.idle("RSET", 250)
        self.open.forget_mail()

    @is_open
    @rule(line_and_code=st.sampled_from([("NOOP", 250), ("noop x", 250), ("HELP", 214)]))
    def nothing(self, line_and_code: tuple[str, int]) -> None:
        """Keep the session."""
        self.idle(*line_and_code)

    @is_open
    @rule(line_and_code=st.sampled_from([("VRFY a", 252), ("VRFY", 501), ("EXPN a", 502)]))
    def ask(self, line_and_code: tuple[str, int]) -> None:
        """Ask what is not told."""
        line, code = line_and_code
        self.idle(line, code if self.open.is_encrypted else 530)

    @is_open
    @rule(word=st.from_regex(r"X[A-Z0-9]{0,10}( .{0,5})?", fullmatch=True).filter(str.isprintable))
    def unknown(self, word: str) -> None:
        """Say what is no command."""
        self.open.unknown += 1
        self.say(word, 500)

    @is_open
    @rule(before=words, control=controls, after=words)
    def control(self, before: str, control: str, after: str) -> None:
        """Say what no line may hold."""
        self.say(f"NOOP{before}{control}x{after}", 501)

    @is_open
    @rule(size=st.sampled_from([1025, 12_289, 100_000]), verb=st.sampled_from(["NOOP", "AUTH"]))
    def too_long(self, size: int, verb: str) -> None:
        """Say too much in one line."""
        if verb == "AUTH" and size == 1025:
            self.say(f"AUTH {'x' * 1020}", self.before_login() or 504)
        else:
            self.say(f"{verb} {'x' * (size - 5)}", 500)

    @is_open
    @rule()
    def pipelined(self) -> None:
        """Say several commands at once; they are answered one by one."""
        if self.open.idle > 16 or self.open.errors > 6:
            return
        self.open.send(b"NOOP\r\nRSET\r\nDATA now\r\nRCPT\r\nNOOP\r\n")
        refusal = self.before_mail() or 503
        self.open.forget_mail()
        self.open.idle += 3
        for expected in (250, 250, refusal, refusal, 250):
            self.expect(expected, self.open.reply())

    # The end ------------------------------------------------------------------------------------

    @is_open
    @rule()
    def quit(self) -> None:
        """Say goodbye."""
        self.say("QUIT", 221)

    @is_open
    @rule(before=st.sampled_from([b"", b"NO", b"BDAT 100 LAST\r\nx", b"MAIL FROM:<a@b.c>\r\n"]))
    def hang_up(self, before: bytes) -> None:
        """Go without a word, or in the middle of one."""
        self.open.send(before)
        self.open.close()
        self.session = None

    @precondition(lambda self: self.session is not None and self.session.is_over)
    @rule()
    def be_closed(self) -> None:
        """After its last reply the relay closes."""
        assert self.open.is_closed()
        self.open.close()
        self.session = None

    @invariant()
    def nothing_stops_the_loop(self) -> None:
        """Other devices do not notice this one."""
        assert self.relay.longest_stop_s < MAX_STOP_S

    def teardown(self) -> None:
        """When all are gone, nothing is left of them."""
        if self.session is not None:
            self.session.close()
        self.relay.require_nothing_left()


def test_any_session(log: io.StringIO) -> None:
    """A device may be old, wrong or evil: the relay stays in step with it."""
    with ThreadedRelay() as Sessions.relay:
        run_state_machine_as_test(
            Sessions,
            settings=settings(
                max_examples=60,
                stateful_step_count=60,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )

    assert ".bug" not in log.getvalue()
    assert "Traceback" not in log.getvalue()
