"""A few seconds of `make soak`, so that it works when it is needed."""

from tests.soak import Soak


async def test_a_few_seconds_of_it() -> None:
    """Devices, stand-in and audit log agree about each mail."""
    soak = Soak(seed=1)

    await soak.run(minutes=0.05)

    assert soak.problems == [], soak.report()
    assert len(soak.mails) > 20
    assert "joined" in soak.report()
