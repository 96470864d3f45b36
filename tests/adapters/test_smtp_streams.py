"""Whatever a client says, in whatever order: every line gets one reply, and nothing breaks."""

import io
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.sandbox import StandIn
from tests.canary import SECRET, WRONG_SECRET
from tests.dialogue import Answer, connected, plain
from tests.serving import CONTOSO, MAIL, MAILBOX, RECIPIENT, USER_NAME, serving

LOGIN = f"AUTH PLAIN {plain(USER_NAME, SECRET)}"
likely = st.sampled_from(
    [
        *("EHLO device", "HELO device", "EHLO", "NOOP", "RSET", "HELP", "VRFY a", "EXPN a"),
        *(LOGIN, "AUTH PLAIN", "AUTH LOGIN", "AUTH", "*", "=", plain(USER_NAME, WRONG_SECRET)),
        *(f"MAIL FROM:<{MAILBOX}>", "MAIL FROM:<>", "MAIL FROM:<x", "MAIL", "STARTTLS"),
        *(f"RCPT TO:<{RECIPIENT}>", "RCPT TO:<>", "DATA", "DATA now", "BDAT 0 LAST", ".", ""),
    ]
)
ordered = st.sampled_from(
    [["EHLO device", LOGIN, f"MAIL FROM:<{MAILBOX}>", f"RCPT TO:<{RECIPIENT}>", "DATA"]]
)
octets = st.binary(max_size=40).map(lambda line: re.sub(rb"[\r\n]", b"?", line))
streams = st.tuples(ordered | st.just([]), st.lists(likely | octets, max_size=30)).map(
    lambda parts: [*parts[0], *parts[1]]
)


@given(streams)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_every_line_gets_one_reply(lines: list[str | bytes]) -> None:
    """No order of commands and no octets make the relay lose its step or show a bug."""
    log = io.StringIO()
    logs.setup("DEBUG", "text", "full", log)
    without_tls = {"TLS_SOURCE": "off", "REQUIRE_TLS": "false"}
    stand_in = StandIn([CONTOSO])
    async with stand_in, serving(stand_in, **without_tls) as relay:
        sent = await said_and_answered(relay.port, lines)

    assert len(stand_in.accepted) == sent
    assert ".bug" not in log.getvalue()


async def said_and_answered(port: int, lines: list[str | bytes]) -> int:
    """Say the lines one by one, and bring the session to its end; return how many mails went."""
    sent = 0
    async with connected(port) as dialogue:
        answer = await dialogue.answer()
        for line in lines:
            answer = await dialogue.ask(line if isinstance(line, str) else line + b"\r\n")
            if answer.code == 354:
                answer = await dialogue.ask(MAIL + b".\r\n")
            sent += str(answer).startswith("250 2.0.0 Accepted")
            if is_last(answer):
                break
        if answer.code == 334:
            answer = await dialogue.ask("*")
        if not is_last(answer):
            answer = await dialogue.ask("QUIT")

        assert is_last(answer)
        assert await dialogue.is_closed()
    return sent


def is_last(answer: Answer) -> bool:
    """Whether the relay closes the connection after it."""
    return answer.code in (221, 421) or "closing the connection" in str(answer)
