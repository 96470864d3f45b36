"""The systemd units, checked by systemd, and the Compose file, by its own schema."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import templates
from smtp_oauth_relay.configuration.reading import load
from smtp_oauth_relay.configuration.settings import Settings
from tests.tools import needs

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
WORST_EXPOSURE = 20  # tenths, of systemd's own scale from 0 to 100


def seconds(text: str) -> float:
    """Return a time such as `90s`, as Compose and systemd write it."""
    return float(text.removesuffix("s"))


@pytest.fixture(name="analyze")
def _analyze() -> str:
    return needs("systemd-analyze")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_understands_the_unit(unit: Path, analyze: str, tmp_path: Path) -> None:
    """A misspelt directive is ignored, and with it the protection it stood for."""
    text = unit.read_text(encoding="utf-8")
    # The program is looked for; on this machine it stands elsewhere.
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))

    verified = subprocess.run(
        [analyze, "verify", copy], capture_output=True, text=True, check=False
    )
    exposed = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={WORST_EXPOSURE}", copy],
        capture_output=True,
        text=True,
        check=False,
    )

    assert verified.stderr == ""
    assert verified.returncode == 0
    assert exposed.returncode == 0, exposed.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_the_unit_gives_time_to_drain(unit: Path) -> None:
    """What is on its way is answered; what is configured wrong is not started again and again."""
    text = unit.read_text(encoding="utf-8")
    (timeout,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)

    assert float(timeout) > load({}, no_file).drain_timeout
    assert "RestartPreventExitStatus=78" in text


def test_the_units_differ_in_nothing_but_their_number() -> None:
    """A protection that only one of them has is a mistake."""
    plain, numbered = (unit.read_text(encoding="utf-8").splitlines() for unit in UNITS[::-1])
    plain, numbered = sorted((plain, numbered), key=len)

    added = [line for line in numbered if line not in plain and not line.startswith("#")]
    removed = [line for line in plain if line not in numbered and not line.startswith("#")]

    assert removed == ["Description=SMTP OAuth Relay"]
    assert all("%i" in line for line in added)


def no_file(path: str) -> str:
    """The settings here come from no files."""
    raise FileNotFoundError(path)


def compose() -> dict[str, Any]:
    """Return the Compose file."""
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return content


def test_the_composed_relay_has_nothing_to_gain_and_time_to_drain() -> None:
    """The same restrictions as in a cluster; Docker's own grace of 10 s would cut mails off."""
    relay = compose()["services"]["relay"]

    assert relay["read_only"] is True
    assert relay["cap_drop"] == ["ALL"]
    assert relay["security_opt"] == ["no-new-privileges:true"]
    assert seconds(relay["stop_grace_period"]) > load({}, no_file).drain_timeout
    assert relay["image"].startswith(f"{templates.IMAGE}:")


def test_the_environment_file_holds_every_default() -> None:
    """Taking away a # must change nothing until the value is changed."""
    text = (DEPLOY / "relay.env").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", text, re.MULTILINE))

    settings = load(shown | {"DKIM_ENABLED": ""}, no_file)

    assert list(shown) == [name.upper() for name in Settings.model_fields]
    assert settings == load({}, no_file)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, as root in a container")
def test_a_renewed_certificate_is_readable_for_the_relay_alone(tmp_path: Path) -> None:
    """The hook runs as root, the relay as user 10001; nothing half written is left behind."""
    renewed, certs = tmp_path / "renewed", tmp_path / "certs"
    for folder in (renewed, certs):
        folder.mkdir()
    (renewed / "privkey.pem").write_text("the key")
    (renewed / "fullchain.pem").write_text("the chain")
    environ = {**os.environ, "RENEWED_LINEAGE": str(renewed), "CERTS_FOLDER": str(certs)}

    subprocess.run(["sh", DEPLOY / "renew.sh", "deploy"], env=environ, check=True)

    found = {path.name: (path.read_text(), path.stat()) for path in certs.iterdir()}
    assert {name: text for name, (text, _) in found.items()} == {
        "key.pem": "the key",
        "cert.pem": "the chain",
    }
    key, cert = found["key.pem"][1], found["cert.pem"][1]
    assert (key.st_uid, key.st_gid, key.st_mode & 0o777) == (10001, 10001, 0o400)
    assert cert.st_mode & 0o777 == 0o444


def test_renewal_says_what_it_needs() -> None:
    """Without a name there is nothing to get a certificate for."""
    done = subprocess.run(
        ["sh", DEPLOY / "renew.sh"],
        env={**os.environ, "RELAY_NAME": "", "ACME_EMAIL": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "RELAY_NAME" in done.stderr
