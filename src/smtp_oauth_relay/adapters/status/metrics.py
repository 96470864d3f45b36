"""What monitoring counts, in Prometheus' format: fed by the events of the log, read on demand.

Labels take few values, all of them known beforehand, and none is an address, a tenant or a name:
`/metrics` is readable without a token. docs/monitoring.md explains each metric; a test compares.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from smtp_oauth_relay import __version__
from smtp_oauth_relay.model import Repair
from smtp_oauth_relay.replies import ACCEPTED, REPLIES, SHUTTING_DOWN
from smtp_oauth_relay.status.vitals import Vitals

PREFIX = "smtp_oauth_relay"

# Twice the series, and nobody draws them.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 5, 10, 20, 30, 60, 120, 300)
_LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_OCTETS = (1e3, 1e4, 5e4, 1e5, 5e5, 1e6, 2e6, 4e6, 1e7, 3.5e7, 1.5e8)

_OUTCOMES = ("accepted", "refused", "deferred", "unknown")
_TLS_VERSIONS = frozenset({"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"})
_OTHER = "other"

Facts = Mapping[str, object]


class Metrics:
    """All metrics of one relay.

    Args:
        vitals: how the relay is now; asked when somebody wants to know.
    """

    def __init__(self, vitals: Callable[[], Vitals]) -> None:
        self._registry = CollectorRegistry()
        info = Info(PREFIX, "The version of the relay.", registry=self._registry)
        info.info({"version": __version__})
        self._add_submissions()
        self._add_sessions()
        self._add_microsoft()
        self._registry.register(_Gauges(vitals))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._by_event: dict[str, Callable[[Facts], None]] = {
            "submission.finished": self._submission_finished,
            "session.opened": lambda _: self._sessions.labels("admitted").inc(),
            "session.refused": lambda _: self._sessions.labels("refused").inc(),
            "session.broken": lambda _: self._broken.inc(),
            "session.encrypted": self._session_encrypted,
            "session.bug": lambda _: self._bugs.inc(),
            "submission.bug": lambda _: self._bugs.inc(),
            "auth.accepted": lambda _: self._auth.labels("accepted").inc(),
            "auth.refused": lambda _: self._auth.labels("refused").inc(),
            "auth.unavailable": lambda _: self._auth.labels("unavailable").inc(),
            "token.served": lambda facts: self._tokens.labels(facts["source"]).inc(),
            "token.answered": self._token_answered,
            "graph.answered": self._graph_answered,
        }

    def hear(self, level: int, name: str, facts: Facts) -> None:
        """Count an event; a `logs.Hearer`."""
        if count := self._by_event.get(name):
            count(facts)

    def note_lag(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._lag.observe(seconds)

    def exposition(self) -> bytes:
        """Return all of them in the text format (0.0.4)."""
        return generate_latest(self._registry)

    def names(self) -> frozenset[str]:
        """Return the names under which samples are found, those of other libraries included."""
        return frozenset(
            sample.name for family in self._registry.collect() for sample in family.samples
        )

    # What there is ----------------------------------------------------------------------------

    def _counter(self, name: str, text: str, **labels: tuple[str, ...]) -> Counter:
        """Return a counter; it begins at 0 for every value of its label, so that rates are seen."""
        counter = Counter(f"{PREFIX}_{name}", text, tuple(labels), registry=self._registry)
        for values in labels.values():
            for value in values:
                counter.labels(value)
        return counter

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, registry=self._registry, buckets=buckets)

    def _add_submissions(self) -> None:
        self._submissions = self._counter(
            "submissions_total", "Messages by what became of them.", outcome=_OUTCOMES
        )
        self._replies = self._counter(
            "replies_total", "Answers to messages, by reply code.", reply=_reply_codes()
        )
        self._seconds = self._histogram(
            "submission_seconds", "From the final dot to the answer.", _SECONDS
        )
        self._waited = self._histogram(
            "submission_waited_seconds", "Of it: in line and in pauses.", _SECONDS
        )
        self._octets = self._histogram("submission_octets", "Message sizes.", _OCTETS)
        self._repairs = self._counter(
            "repairs_total", "What was set right in messages.", repair=tuple(Repair)
        )
        self._repetitions = self._counter(
            "repetitions_total",
            "Messages that came again: answered without a second sending, or possibly sent twice.",
            kind=("joined", "possible_duplicate"),
        )
        self._bugs = self._counter("bugs_total", "Errors of the relay itself.")

    def _add_sessions(self) -> None:
        self._sessions = self._counter(
            "sessions_total", "Connections of devices.", result=("admitted", "refused")
        )
        self._broken = self._counter(
            "sessions_broken_total", "Connections given up: no TLS came about, or nobody read."
        )
        self._tls = self._counter(
            "tls_sessions_total",
            "Encrypted connections by version of TLS.",
            version=(*sorted(_TLS_VERSIONS), _OTHER),
        )
        self._auth = self._counter(
            "logins_total",
            "Logins of devices.",
            result=("accepted", "refused", "unavailable"),
        )
        self._lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop is, measured twice a second.", _LAGS
        )

    def _add_microsoft(self) -> None:
        self._tokens = self._counter(
            "tokens_total",
            "Tokens by where they came from: at hand, asked for, or asked for together.",
            source=("cached", "new", "shared"),
        )
        self._token_requests = self._counter(
            "token_requests_total",
            "Requests to Entra ID by what came of them.",
            result=("granted", "refused", "unavailable", "failed"),
        )
        self._token_seconds = self._histogram(
            "token_request_seconds", "How long Entra ID took.", _SECONDS
        )
        self._graph = self._counter(
            "graph_responses_total",
            "Responses of Microsoft Graph by HTTP status.",
            status=("202", "401", "403", "404", "429", "500", "503"),
        )
        self._graph_seconds = self._histogram(
            "graph_seconds", "Microsoft Graph's part of one message, all tries.", _SECONDS
        )
        self._retry_after = self._histogram(
            "graph_retry_after_seconds", "How long Microsoft Graph asked to wait.", _SECONDS
        )

    # What happens -----------------------------------------------------------------------------

    def _submission_finished(self, facts: Facts) -> None:
        outcome = str(facts["outcome"])
        self._submissions.labels(outcome).inc()
        self._replies.labels(_code(str(facts["reply"]))).inc()
        self._seconds.observe(_number(facts["ms"]) / 1000)
        self._octets.observe(_number(facts["octets"]))
        if facts["attempts"]:
            self._waited.observe(_number(facts["waited_ms"]) / 1000)
            self._graph_seconds.observe(_number(facts["graph_ms"]) / 1000)
        for repair in filter(None, str(facts["repairs"] or "").split(",")):
            self._repairs.labels(repair).inc()
        for kind in ("joined", "possible_duplicate"):
            if facts[kind]:
                self._repetitions.labels(kind).inc()

    def _session_encrypted(self, facts: Facts) -> None:
        version = str(facts["version"])
        self._tls.labels(version if version in _TLS_VERSIONS else _OTHER).inc()

    def _token_answered(self, facts: Facts) -> None:
        self._token_requests.labels(facts["result"]).inc()
        self._token_seconds.observe(_number(facts["ms"]) / 1000)

    def _graph_answered(self, facts: Facts) -> None:
        status = int(_number(facts["status"]))
        self._graph.labels(str(status) if 100 <= status <= 599 else _OTHER).inc()
        if facts["retry_after_s"] is not None:
            self._retry_after.observe(_number(facts["retry_after_s"]))


class _Gauges(Collector):
    """What is read when it is asked for."""

    def __init__(self, vitals: Callable[[], Vitals]) -> None:
        self._vitals = vitals

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())  # so that registering does not ask

    def collect(self) -> Iterator[GaugeMetricFamily]:
        vitals = self._vitals()
        for name, text, value in _gauges(vitals):
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def _gauges(vitals: Vitals) -> Iterator[tuple[str, str, float | None]]:
    lines, memory, certificate = vitals.lines, vitals.memory, vitals.certificate
    yield "ready", "Whether load balancers should send devices here.", vitals.is_ready
    yield "sessions", "Connections of devices.", vitals.sessions
    yield "sessions_max", "How many there may be.", vitals.max_sessions
    yield "submissions_under_way", "Messages not answered yet.", vitals.under_way
    yield "pacing_mailboxes", "Mailboxes in use or pausing.", len(lines)
    yield "pacing_in_flight", "Messages that have their turn.", sum(x.in_flight for x in lines)
    yield "pacing_waiting", "Messages that wait in line.", sum(x.waiting for x in lines)
    paused = sum(line.paused_s > 0 for line in lines)
    yield "pacing_paused", "Mailboxes that pause as Microsoft Graph asked.", paused
    yield "ledger_mails", "Mails whose answer nobody heard.", vitals.unheard
    yield "tokens", "Logins whose tokens are at hand.", vitals.logins
    yield "memory_octets", "Memory of messages.", memory.octets if memory else None
    yield "memory_budget_octets", "The most it may be.", memory.budget if memory else None
    ends = certificate.ends.timestamp() if certificate else None
    yield "certificate_expires_timestamp_seconds", "When the certificate expires.", ends
    soonest = min((secret.ends for secret in vitals.secrets), default=None)
    yield (
        "secret_expires_timestamp_seconds",
        "When the first of the client secrets expires whose end is noted in the Table.",
        None if soonest is None else (soonest.toordinal() - _EPOCH) * 86_400.0,
    )


_EPOCH = 719_163  # the ordinal of 1970-01-01


def _reply_codes() -> tuple[str, ...]:
    found = {_code(str(reply)) for reply in (*REPLIES.values(), ACCEPTED, SHUTTING_DOWN)}
    return tuple(sorted(found))


def _code(reply: str) -> str:
    """Return reply code and enhanced status code; the replies are constants, so there are few."""
    return " ".join(reply.split(" ", 2)[:2])


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0.0
