"""The audit line: one for each submission, with all there is to know about it."""

import logging

from smtp_oauth_relay import advice
from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.delivery.outcome import Outcome
from smtp_oauth_relay.errors import DeliveryFailed

logger = logging.getLogger(__name__)


def log_outcome(outcome: Outcome) -> None:
    """Write the one line that says all of a submission; a `relay.Audit`."""
    submission, effort = outcome.submission, outcome.effort
    failure = outcome.error if isinstance(outcome.error, DeliveryFailed) else None
    trouble = advice.about_outcome(outcome)
    if outcome.bug is not None:
        logs.event(logger, logging.ERROR, "submission.bug", bug=outcome.bug, id=submission.id)
    logs.event(
        logger,
        logging.INFO if outcome.receipt else logging.WARNING,
        "submission.finished",
        id=submission.id,
        client=submission.origin.address,
        tenant=submission.principal.tenant,
        application=submission.principal.client,
        row=row.id if (row := submission.principal.row) else None,
        mailbox=outcome.mail.mailbox if outcome.mail else None,
        sender=submission.envelope.reverse_path,
        recipients=len(submission.envelope.forward_paths),
        to=submission.envelope.forward_paths,
        octets=len(submission.content),
        uploaded=(outcome.mail.is_large or None) if outcome.mail else None,
        dkim=(outcome.mail.signed_for or None) if outcome.mail else None,
        repairs=(",".join(outcome.mail.repairs) or None) if outcome.mail else None,
        reply=str(outcome.reply).partition(" id=")[0],
        request=outcome.receipt.request_id if outcome.receipt else _request_id(failure),
        outcome=_word(outcome),
        cause=str(outcome.error) if outcome.error else None,
        cure=trouble.cure if trouble else None,
        status=failure.status if failure else None,
        code=failure.graph_code if failure and failure.graph_code else None,
        joined=outcome.same_as or None,
        possible_duplicate=outcome.is_possible_duplicate or None,
        token=_token(outcome),
        attempts=effort.attempts,
        waited_ms=_ms(effort.waited_s),
        graph_ms=_ms(effort.graph_s),
        ms=_ms(outcome.took_s),
    )


def _request_id(failure: DeliveryFailed | None) -> str | None:
    return failure.request_id or None if failure else None


def _token(outcome: Outcome) -> str | None:
    is_cached = outcome.effort.is_token_cached
    if is_cached is None:
        return None
    return "cached" if is_cached else "new"


def _word(outcome: Outcome) -> str:
    """Return one word for what became of a submission; `unknown` if it may have been sent."""
    if outcome.receipt:
        return "accepted"
    if outcome.is_unknown:
        return "unknown"
    return "deferred" if outcome.reply.is_transient else "refused"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
