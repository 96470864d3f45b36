"""What became of a submission: all that the reply and the audit line are made of."""

from dataclasses import dataclass, field

from smtp_oauth_relay.errors import AnswerNotUnderstood, OutcomeUnknown, RelayError
from smtp_oauth_relay.model import OutgoingMail, Receipt, Submission
from smtp_oauth_relay.replies import ACCEPTED, SHUTTING_DOWN, TRY_AGAIN, Reply, reply_for


@dataclass(slots=True)
class Effort:
    """What a delivery cost; filled in while it goes on.

    Attributes:
        waited_s: in line and in pauses, in seconds.
        attempts: requests to Graph.
        is_token_cached: whether the first token was at hand; `None` if none was needed.
        graph_s: Graph's part, all attempts together, in seconds.
    """

    waited_s: float = 0.0
    attempts: int = 0
    is_token_cached: bool | None = None
    graph_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a submission.

    Attributes:
        submission: what the client handed over.
        mail: what was composed of it; `None` if that failed.
        receipt: Graph's, if it took the message.
        error: what went wrong otherwise.
        bug: what went wrong by our own fault.
        effort: what it cost.
        took_s: from the final dot until now, in seconds.
        same_as: the id of the earlier submission of the same mail whose delivery this one shares;
            empty if it had its own.
        is_possible_duplicate: an earlier submission of the same mail may have been sent, too.
        is_cut: the relay was stopped before it was over.
    """

    submission: Submission
    mail: OutgoingMail | None = None
    receipt: Receipt | None = None
    error: RelayError | None = None
    bug: Exception | None = None
    effort: Effort = field(default_factory=Effort)
    took_s: float = 0.0
    same_as: str = ""
    is_possible_duplicate: bool = False
    is_cut: bool = False

    @property
    def is_unknown(self) -> bool:
        """Whether the message may have been sent without our knowing."""
        if self.is_cut or self.bug is not None:
            return self.effort.attempts > 0
        return isinstance(self.error, OutcomeUnknown | AnswerNotUnderstood)

    def forget_frames(self) -> None:
        """Let what went wrong forget where: the frames hold on to the message, and to the error."""
        for wrong in (self.error, self.bug):
            if wrong is not None:
                wrong.__traceback__ = wrong.__cause__ = wrong.__context__ = None

    @property
    def reply(self) -> Reply:
        """The answer to the client, naming the submission."""
        if self.is_cut:
            return SHUTTING_DOWN.naming(self.submission.id)
        if self.receipt is not None:
            return ACCEPTED.naming(self.submission.id, self.receipt.request_id)
        if self.error is not None:
            request_id = getattr(self.error, "request_id", "")
            return reply_for(self.error).naming(self.submission.id, request_id)
        return TRY_AGAIN.naming(self.submission.id)
