"""With the host names of Azure, in a network of its own: what `localhost` cannot show."""

import subprocess
import sys
from pathlib import Path

from tests.azure import azurite, inside_real_names
from tests.tools import cannot_run

INSIDE = Path(inside_real_names.__file__)
AS_ROOT = 'mount --bind "$0" /etc/hosts && exec "$@"'


def test_every_name_is_the_real_one(tmp_path: Path) -> None:
    """No setting leads the relay anywhere else than an administrator's would."""
    azurite.program()
    in_a_network_of_its_own = ["unshare", "--net", "--mount", "sh", "-c", AS_ROOT]
    hosts = tmp_path / "hosts"
    lines = {**inside_real_names.HOSTS, "127.0.0.1": "localhost"}
    hosts.write_text("".join(f"{address} {name}\n" for address, name in lines.items()))
    possible = subprocess.run([*in_a_network_of_its_own, hosts, "true"], capture_output=True)
    if possible.returncode:
        cannot_run(f"no network of one's own here: {possible.stderr.decode().strip()}")

    inside = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(INSIDE)]
    result = subprocess.run(
        [*in_a_network_of_its_own, hosts, *inside],
        cwd=INSIDE.parents[2],
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stdout + result.stderr
