"""What is wrong with settings that are right one by one, risky about them, or misspelt."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from smtp_oauth_relay.setting_values import text

if TYPE_CHECKING:
    from smtp_oauth_relay.settings import Settings


_CLOSE = 0.82  # of difflib's ratio, underscores aside; HTTP_TIMEOUT, no setting, reaches 0.81


def conflicts(settings: "Settings") -> Iterator[tuple[frozenset[str], str]]:
    """Yield what cannot be together: the names of the fields, and a sentence."""
    if settings.tls_source == "off" and settings.require_tls:
        yield (
            frozenset({"tls_source", "require_tls"}),
            "TLS_SOURCE is off, but REQUIRE_TLS is true, so nobody could log in. Give the relay a"
            " certificate (TLS_SOURCE=file), or set REQUIRE_TLS=false to let user names and"
            " passwords cross the network unencrypted.",
        )
    if settings.tls_source == "off" and settings.smtps_listen:
        yield (
            frozenset({"tls_source", "smtps_listen"}),
            "SMTPS_LISTEN is set, but TLS_SOURCE is off, so there is no certificate for TLS. Give"
            " the relay one (TLS_SOURCE=file), or remove SMTPS_LISTEN.",
        )
    fixed = {address for address in settings.smtp_listen if address.port}
    for address in fixed.intersection(settings.smtps_listen):
        yield (
            frozenset({"smtp_listen", "smtps_listen"}),
            f"SMTP_LISTEN and SMTPS_LISTEN both name {address}. Give one of them another port.",
        )
    if settings.graph_http_timeout > settings.delivery_deadline:
        yield (
            frozenset({"graph_http_timeout", "delivery_deadline"}),
            f"GRAPH_HTTP_TIMEOUT ({text(settings.graph_http_timeout)} s) is longer than"
            f" DELIVERY_DEADLINE ({text(settings.delivery_deadline)} s), the whole wait for a"
            " delivery. Lower GRAPH_HTTP_TIMEOUT or raise DELIVERY_DEADLINE.",
        )
    has_key = settings.dkim_private_key_path or settings.dkim_private_key
    if settings.dkim_enabled and not (has_key and settings.dkim_selector):
        yield (
            frozenset(
                {"dkim_enabled", "dkim_selector", "dkim_private_key_path", "dkim_private_key"}
            ),
            "DKIM_ENABLED is true, but there is no key to sign with. Set DKIM_SELECTOR and"
            " DKIM_PRIVATE_KEY_PATH (docs/dkim.md says how), or remove DKIM_ENABLED.",
        )


def cautions(settings: "Settings") -> tuple[str, ...]:
    """Return what is allowed but dangerous in a configuration, one sentence each."""
    found = []
    if not settings.require_tls:
        found.append(
            "REQUIRE_TLS is false: user names and passwords can cross the network unencrypted."
        )
    if settings.tls_min_version < "1.2":
        found.append(
            f"TLS_MIN_VERSION is {settings.tls_min_version}: devices may speak a TLS that can be"
            " broken, with ciphers that can be, too. Set it for as long as old devices need it."
        )
    if settings.drain_timeout < settings.delivery_deadline:
        found.append(
            f"DRAIN_TIMEOUT ({text(settings.drain_timeout)} s) is shorter than DELIVERY_DEADLINE"
            f" ({text(settings.delivery_deadline)} s): a stop of the relay can cut off a mail on"
            " its way, which the device may then send twice."
        )
    return tuple(found)


def misspelt(variables: Iterable[str], settings: Sequence[str]) -> tuple[str, ...]:
    """Return one sentence for each variable that looks like a misspelt setting.

    Args:
        variables: the names of those there are.
        settings: the names of those that have a meaning.
    """
    known = [*settings, *(f"{name}_FILE" for name in settings)]
    return tuple(
        f"{name} is not a setting of the relay and has no effect; did you mean {meant}?"
        for name in sorted(set(variables) - set(known))
        if (meant := _nearest(name, known))
    )


def _nearest(name: str, known: list[str]) -> str:
    if not re.fullmatch("[A-Za-z0-9_.-]{3,60}", name):
        return ""
    by_letters = {each.replace("_", ""): each for each in reversed(known)}
    letters = re.sub("[_.-]", "", name.upper())
    near = difflib.get_close_matches(letters, by_letters, n=1, cutoff=_CLOSE)
    return by_letters[near[0]] if near else ""
