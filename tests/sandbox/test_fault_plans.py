"""A fault is met when it is due, and a plan that makes no sense is refused."""

from typing import Any

import pytest

from smtp_oauth_relay.sandbox import Fault, Faults, read_fault


def taken(faults: Faults, *paths: str) -> list[int | None]:
    """Return the status of the fault that each request meets."""
    met = [faults.for_request(path) for path in paths]
    return [fault.status if fault else None for fault in met]


def test_a_fault_is_met_as_often_as_planned() -> None:
    """The retries after it must find a service that works again."""
    faults = Faults()
    faults.add(Fault(status=500), times=2)

    assert taken(faults, "/", "/", "/") == [500, 500, None]
    assert len(faults) == 0


def test_a_fault_may_last() -> None:
    """A service that is down stays down until the test says otherwise."""
    faults = Faults()
    faults.add(Fault(status=500), times=None)

    before = taken(faults, *"/////")
    faults.clear()

    assert before == [500] * 5
    assert taken(faults, "/") == [None]


def test_every_third_request_can_meet_it() -> None:
    """The benchmark throttles a part of all requests."""
    faults = Faults()
    faults.add(Fault(status=429), every=3)

    assert taken(faults, *"/////////") == [None, None, 429] * 3


def test_a_fault_can_be_meant_for_one_mailbox() -> None:
    """One throttled mailbox must not slow down the others."""
    faults = Faults()
    faults.add(Fault(status=429), path_contains="a%40b")

    assert taken(faults, "/users/c%40d", "/users/a%40b") == [None, 429]


def test_faults_come_in_the_order_they_were_added() -> None:
    """A story of several failures can be told."""
    faults = Faults()
    faults.add(Fault(status=500))
    faults.add(Fault(status=503))

    assert taken(faults, "/", "/", "/") == [500, 503, None]


def test_connections_and_requests_meet_their_own_faults() -> None:
    """A reset at once is for the connection; the request after it is another matter."""
    faults = Faults()
    faults.add(Fault(action="accept_then_reset"))
    faults.add(Fault(status=500))

    assert taken(faults, "/") == [500]
    assert faults.for_connection() is not None
    assert faults.for_connection() is None


@pytest.mark.parametrize("plan", [{"times": 0}, {"every": 0}, {"times": -1}, {"every": -2}])
def test_a_plan_that_can_never_come_is_refused(plan: dict[str, Any]) -> None:
    """A typing error in a test must not make the test pass."""
    with pytest.raises(ValueError, match="count from 1"):
        Faults().add(Fault(status=500), **plan)


def test_a_reset_at_once_knows_no_path() -> None:
    """Such a plan would be met by nobody."""
    with pytest.raises(ValueError, match="before any path"):
        Faults().add(Fault(action="accept_then_reset"), path_contains="x")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"action": "explode"}, "not an action"),
    ({"status": 199}, "not the status"),
    ({"action": "stop_reading", "takes_mail": True}, "cannot take it"),
    ({"statsu": 500}, "has no 'statsu'"),
    ({"status": "500"}, "cannot be '500'"),
    ({"status": True}, "cannot be True"),
    ({"takes_mail": 1}, "cannot be 1"),
]


@pytest.mark.parametrize(("document", "reason"), WRONG)
def test_a_fault_that_cannot_be_is_refused(document: dict[str, Any], reason: str) -> None:
    """Scripts come from other processes too; each mistake is named."""
    with pytest.raises(ValueError, match=reason):
        read_fault(document)


def test_a_fault_is_read_from_json() -> None:
    """What other processes write means what it says."""
    document = {"status": 502, "body": "ä", "headers": {"X": 1}, "latency_s": 1, "retry_after": 2}

    assert read_fault(document) == Fault(
        status=502, body="ä".encode(), headers={"X": "1"}, latency_s=1, retry_after=2
    )
