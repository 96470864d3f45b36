"""Where the relay's processor time goes, seen by py-spy while small mails come in."""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from benchmarks.load import devices, trust_of
from benchmarks.processes import bench

SECONDS = 8
RATE = 400

GROUPS = [
    ("TLS handshakes with devices", r"do_handshake"),
    ("the measuring itself", r"watch \(benchmarks/"),
    (
        "POST to Graph: aiohttp, httpx",
        r"aiohttp|httpx|yarl|multidict|adapters/(graph/|outbound)|graph_protocol",
    ),
    ("composing the message", r"smtp_oauth_relay/(message/|addresses)|adapters/composer"),
    ("token and login", r"adapters/entra/|entra_protocol|smtp/sasl|smtp_oauth_relay/sign_in/"),
    ("pacing, ledger, delivery", r"smtp_oauth_relay/(delivery/|relay)"),
    ("the log line", r"adapters/(logs|log_values|audit)|logging/"),
    ("aiosmtpd's constructor", r"aiosmtpd/smtp\.py|inspect\.py"),
    ("SMTP session", r"adapters/smtp/|aiosmtpd/"),
    ("TLS records", r"ssl\.py|asyncio/sslproto"),
    ("asyncio's loop and sockets", r"asyncio/|selectors|socket\.py"),
]


def group_of(stack: str) -> str:
    """Return the first group of which a frame is in the stack, from the innermost outwards."""
    for frame in reversed(stack.split(";")):
        for name, pattern in GROUPS[:-2]:
            if re.search(pattern, frame):
                return name
    for name, pattern in GROUPS[-2:]:
        if re.search(pattern, stack):
            return name
    return "Python itself"


def shares(raw: str) -> dict[str, float]:
    """Return the percentage of each group, the largest first; waiting does not count."""
    counts: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        innermost = stack.rpartition(";")[2]
        if "run_forever" in stack and "select (" not in innermost:
            counts[group_of(stack)] += int(count)
    total = sum(counts.values())
    return {name: 100 * count / total for name, count in counts.most_common()}


def profile() -> Mapping[str, float] | None:
    """Return the shares; `None` if py-spy is not installed or may not look."""
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        return None
    with tempfile.TemporaryDirectory() as folder, bench("relay", {}) as server:
        trust = trust_of(server.ca_file)
        asyncio.run(devices(server.port, trust, count=10, mails=10, octets=4000))
        raw = Path(folder) / "raw"
        watching = subprocess.Popen(
            [
                *(spy, "record", "--format", "raw", "--rate", str(RATE)),
                *("--duration", str(SECONDS), "--pid", str(server.server.pid)),
                *("--output", str(raw)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while watching.poll() is None:
            asyncio.run(devices(server.port, trust, count=20, mails=10, octets=4000))
        return shares(raw.read_text()) if raw.exists() else None
