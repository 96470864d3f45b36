"""What sslyze, which administrators scan their servers with, finds in the relay's TLS."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.threaded import ThreadedRelay
from tests.tools import needs

pytestmark = pytest.mark.scan

CHECKS = (
    *("--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3"),
    *("--heartbleed", "--openssl_ccs", "--robot", "--compression", "--reneg", "--fallback"),
)
OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
NEW = ("tls_1_2", "tls_1_3")


def scanner() -> str:
    """Return where sslyze is: `make test-all` has an environment of its own for it."""
    beside = Path(sys.prefix) / "scanner/bin/sslyze"
    return str(beside) if beside.exists() else needs("sslyze", how="make .venv/.scanner")


def scan(port: int, folder: Path, *options: str) -> dict[str, Any]:
    """Return what sslyze finds at a port, by the names of its checks."""
    report = folder / "report.json"
    command = [scanner(), *CHECKS, *options, "--mozilla_config=disable", f"--json_out={report}"]
    subprocess.run([*command, f"localhost:{port}"], check=True, capture_output=True, timeout=300)
    (result,) = json.loads(report.read_text(encoding="utf-8"))["server_scan_results"]
    assert result["scan_status"] == "COMPLETED", result
    return {name: check["result"] for name, check in result["scan_result"].items()}


@pytest.mark.parametrize("way", ["STARTTLS", "implicit TLS"])
def test_a_scan_finds_nothing(way: str, tmp_path: Path) -> None:
    """By default no version below 1.2, and none of the faults that have names."""
    with ThreadedRelay() as relay:
        if way == "STARTTLS":
            found = scan(relay.served.port, tmp_path, "--starttls=smtp")
        else:
            found = scan(relay.smtps_port, tmp_path)
        relay.require_nothing_left()

    accepted = {
        version: len(found[f"{version}_cipher_suites"]["accepted_cipher_suites"])
        for version in (*OLD, *NEW)
    }
    assert [version for version in OLD if accepted[version]] == []
    assert [version for version in NEW if not accepted[version]] == []
    assert found["heartbleed"]["is_vulnerable_to_heartbleed"] is False
    assert found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"] is False
    assert found["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    assert found["tls_compression"]["supports_compression"] is False
    assert found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"] is False
    assert found["session_renegotiation"]["supports_secure_renegotiation"] is True
    assert found["tls_fallback_scsv"]["supports_fallback_scsv"] is True
    weak = [
        suite["cipher_suite"]["name"]
        for suite in found["tls_1_2_cipher_suites"]["accepted_cipher_suites"]
        if suite["cipher_suite"]["key_size"] < 128 or suite["cipher_suite"]["is_anonymous"]
    ]
    assert weak == []
