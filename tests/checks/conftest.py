"""A configuration with everything right, and what `check` says of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import pytest

from smtp_oauth_relay.checks.examination import Asked, examine
from smtp_oauth_relay.checks.findings import Finding
from smtp_oauth_relay.sandbox import StandIn
from tests import canary
from tests.processes import settings_for

Found: TypeAlias = Callable[..., Awaitable[list[Finding]]]


@pytest.fixture
def environ(stand_in: StandIn) -> Mapping[str, str]:
    """The variables of a relay that is led to the stand-in."""
    return settings_for(stand_in)


@pytest.fixture
def found(environ: Mapping[str, str]) -> Found:
    """Look at the configuration, with changes; return what was found."""

    async def found(asked: Asked | None = None, **changes: str) -> list[Finding]:
        findings = [each async for each in examine({**environ, **changes}, asked or Asked())]
        assert canary.shown(str(findings)) == []
        return findings

    return found
