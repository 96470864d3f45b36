"""One submission on its way, and whether its client is still there to hear what became of it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from smtp_oauth_relay import replies
from smtp_oauth_relay.delivery.ledger import Entry, Ledger, Running, Taken, Unknown
from smtp_oauth_relay.delivery.outcome import Effort, Outcome
from smtp_oauth_relay.errors import RelayError
from smtp_oauth_relay.model import OutgoingMail, Receipt, Submission
from smtp_oauth_relay.replies import Reply


class Delivery:
    """A submission that was taken over. It goes on without its client.

    When it is over, this stays until the client is known to have heard it, which can take minutes;
    the message does not.

    Attributes:
        submission: what the client handed over, until it is over.
        started: when, on the loop's clock in seconds.
        effort: what it has cost so far.
        task: does the work; belongs to the use case. Gone when the reply was given: it has the
            outcome, and the outcome the message.
    """

    task: asyncio.Task[Outcome]

    def __init__(self, submission: Submission, ledger: Ledger) -> None:
        self.submission = submission
        self.effort = Effort()
        self._ledger = ledger
        self.started = asyncio.get_running_loop().time()
        self._mail: OutgoingMail | None = None
        self._name: bytes | None = None
        self._earlier: Entry | None = None
        self._running: Running | None = None
        self._entry: Taken | Unknown | None = None
        self._is_over = False
        self._is_heard = False
        self._is_gone = False
        self._is_settled = False

    # For the client ---------------------------------------------------------------------------

    async def reply(self) -> Reply:
        """Return what the client is to hear, once."""
        await asyncio.wait({self.task})  # not the task itself: whoever waits may be cancelled
        reply = replies.SHUTTING_DOWN if self.task.cancelled() else self.task.result().reply
        del self.task
        return reply

    def heard(self) -> None:
        """Note that the reply has reached the client; the first of the two notes counts."""
        self._is_heard = True

    def client_is_gone(self) -> None:
        """Note that the client is not there any more: it will come again with the same mail."""
        if self._is_heard or self._is_gone:
            return
        self._is_gone = True
        self._leave_behind()

    # For the use case -------------------------------------------------------------------------

    def begin(self, work: Coroutine[Any, Any, Outcome]) -> None:
        """Start the work."""
        self.task = asyncio.create_task(work)

    def recognise(self, mail: OutgoingMail) -> Entry | None:
        """Return what is known of an earlier submission of the same mail, and answer for it now."""
        self._mail = mail
        submission = self.submission
        self._name = self._ledger.name(
            submission.principal,
            mail.mailbox,
            submission.envelope.forward_paths,
            mail.fingerprint,
        )
        self._earlier = self._ledger.claim(self._name)
        if self._is_gone:
            self._leave_behind()
        return self._earlier

    def end(
        self,
        *,
        receipt: Receipt | None = None,
        error: RelayError | None = None,
        bug: Exception | None = None,
        is_cut: bool = False,
    ) -> Outcome:
        """Return what became of the submission; what nobody may have heard goes to the ledger."""
        submission, earlier = self.submission, self._earlier
        outcome = Outcome(
            submission,
            self._mail,
            receipt,
            error,
            bug,
            self.effort,
            took_s=asyncio.get_running_loop().time() - self.started,
            same_as=earlier.id if isinstance(earlier, Taken | Running) else "",
            is_possible_duplicate=isinstance(earlier, Unknown),
            is_cut=is_cut,
        )
        if receipt is not None:
            self._entry = Taken(outcome.same_as or submission.id, receipt)
        elif outcome.is_unknown or outcome.is_possible_duplicate:
            self._entry = Unknown(submission.id)
        self._is_over = True
        self._leave_behind()
        del self.submission, self._mail, self._earlier
        return outcome

    def _leave_behind(self) -> None:
        """Bring the ledger up to date after something has changed."""
        if self._name is None or self._is_settled:
            return
        if self._running is not None:
            if not self._ledger.withdraw(self._name, self._running):
                return  # a repetition has claimed it, and answers for it now
            self._running = None
        if entry := self._to_remember():
            self._ledger.put(self._name, entry)
            self._is_settled = self._is_over

    def _to_remember(self) -> Entry | None:
        if not self._is_over:
            self._running = Running(self.submission.id, self.task) if self._is_gone else None
            return self._running
        return None if isinstance(self._entry, Taken) and not self._is_gone else self._entry
