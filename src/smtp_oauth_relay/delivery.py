"""One submission on its way, and whether its client is still there to hear what became of it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from smtp_oauth_relay import replies
from smtp_oauth_relay.errors import RelayError
from smtp_oauth_relay.ledger import Entry, Ledger, Running, Taken, Unknown
from smtp_oauth_relay.model import OutgoingMail, Receipt, Submission
from smtp_oauth_relay.outcome import Effort, Outcome
from smtp_oauth_relay.replies import Reply


class Delivery:
    """A submission that was taken over. It goes on without its client.

    Attributes:
        submission: what the client handed over.
        effort: what it has cost so far.
        task: does the work; belongs to the use case.
    """

    task: asyncio.Task[Outcome]

    def __init__(self, submission: Submission, ledger: Ledger) -> None:
        self.submission = submission
        self.effort = Effort()
        self._ledger = ledger
        self._started = asyncio.get_running_loop().time()
        self._mail: OutgoingMail | None = None
        self._name: bytes | None = None
        self._earlier: Entry | None = None
        self._running: Running | None = None
        self._outcome: Outcome | None = None
        self._is_heard = False
        self._is_gone = False
        self._is_settled = False

    # For the client ---------------------------------------------------------------------------

    async def reply(self) -> Reply:
        """Return what the client is to hear."""
        await asyncio.wait({self.task})  # not the task itself: whoever waits may be cancelled
        if self.task.cancelled():
            return replies.SHUTTING_DOWN
        return self.task.result().reply

    def heard(self) -> None:
        """Note that the reply was written to the client; the first of the two notes counts."""
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
            submission.content,
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
        earlier = self._earlier
        self._outcome = Outcome(
            self.submission,
            self._mail,
            receipt,
            error,
            bug,
            self.effort,
            took_s=asyncio.get_running_loop().time() - self._started,
            same_as=earlier.id if isinstance(earlier, Taken | Running) else "",
            is_possible_duplicate=isinstance(earlier, Unknown),
            is_cut=is_cut,
        )
        self._leave_behind()
        return self._outcome

    def _leave_behind(self) -> None:
        """Bring the ledger up to date after something has changed."""
        if self._name is None or self._is_settled:
            return
        if self._running is not None:
            if not self._ledger.withdraw(self._name, self._running):
                self._is_settled = True  # a repetition has claimed it, and answers for it now
                return
            self._running = None
        if entry := self._to_remember():
            self._ledger.put(self._name, entry)
            self._is_settled = self._outcome is not None

    def _to_remember(self) -> Entry | None:
        outcome = self._outcome
        if outcome is None:
            self._running = Running(self.submission.id, self.task) if self._is_gone else None
            return self._running
        if outcome.receipt is not None:
            name = outcome.same_as or self.submission.id
            return Taken(name, outcome.receipt) if self._is_gone else None
        was_unknown = isinstance(self._earlier, Unknown)
        return Unknown(self.submission.id) if outcome.is_unknown or was_unknown else None
