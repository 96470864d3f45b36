"""The container image, built from the Dockerfile and run under the restrictions of a cluster."""

import json
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme
from anyio.from_thread import BlockingPortal, start_blocking_portal

from smtp_oauth_relay import __version__
from smtp_oauth_relay.sandbox import Application, StandIn
from tests.tools import cannot_run

pytestmark = pytest.mark.image

REPOSITORY = Path(__file__).parents[2]
TOOLS = ("podman", "buildah", "runc", "conmon", "debootstrap", "apt-get")
BASE = "localhost/smtp-oauth-relay-test-base"
IMAGE = "localhost/smtp-oauth-relay-test"
HOME = "/usr/src/smtp-relay"
UID = 10001
READY_TIMEOUT_S = 30
STOP_TIMEOUT_S = 60
MAX_OWN_OCTETS = 100_000_000
PUBLISHED_BASE_OCTETS = 46_000_000  # python:3.13-slim-trixie as the registry has it, compressed
MAX_COMPRESSED_OCTETS = 120_000_000
MAX_IDLE_OCTETS = 76 * 2**20  # some 70 are usual; a third of them are files of libraries
HEALTHY_S = 5

TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT = "66666666-7777-4888-8999-aaaaaaaaaaaa"
SECRET = "a-made-up~secret"

# crun wants a pure cgroup v2, bridges want privileges: runc and the host's network run anywhere.
CONTAINERS_CONF = """\
[containers]
netns = "host"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{work}/images"
runroot = "{work}/run"
"""


@dataclass(frozen=True)
class Podman:
    """Podman with a store of its own, away from what the user keeps."""

    environ: Mapping[str, str] = field(repr=False)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a subcommand to its end; the output holds stdout and stderr."""
        return subprocess.run(
            ["podman", *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def output(self, *arguments: str) -> str:
        """Run a subcommand that must succeed and return what it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"podman {' '.join(arguments)}:\n{done.stdout}"
        return done.stdout.strip()


@dataclass(frozen=True)
class Container:
    """A relay in a container of the built image, listening on a loopback port."""

    podman: Podman
    name: str
    port: int
    ca: trustme.CA

    def inspect(self, field: str) -> str:
        """Return a field of `podman inspect`, such as `.State.ExitCode`."""
        return self.podman.output("inspect", "--format", "{{" + field + "}}", self.name)

    def logs(self) -> str:
        """Return all that the relay has printed so far."""
        return self.podman.output("logs", self.name)

    def connect(self) -> smtplib.SMTP:
        """Open a session as a mail client does."""
        return smtplib.SMTP("localhost", self.port, timeout=READY_TIMEOUT_S)

    def trust(self) -> ssl.SSLContext:
        """Return what a client needs to verify the relay's certificate."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context

    def wait_until_ready(self) -> None:
        """Return when the relay greets; fail with its log when it ends before."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                self.connect().quit()
            except (OSError, smtplib.SMTPException):
                if self.inspect(".State.Running") != "true":
                    break
                time.sleep(0.1)  # nothing but its port tells that a container is ready
            else:
                return
        pytest.fail(f"The relay does not answer:\n{self.logs()}")


@dataclass(frozen=True)
class Microsoft:
    """The stand-in for Entra ID and Graph, on a loop in another thread."""

    stand_in: StandIn
    portal: BlockingPortal

    def settings(self) -> dict[str, str]:
        """Return the variables that point a relay at it."""
        return {
            "AZURE_AUTHORITY_HOST": self.stand_in.authority_host,
            "GRAPH_ENDPOINT": self.stand_in.graph_endpoint,
            "SSL_CERT_FILE": "/run/ca.pem",
        }

    def wait_for_mail(self) -> bytes:
        """Return the octets of the first mail as Graph took it."""
        self.portal.call(self.stand_in.wait_for_mails, 1)
        return self.stand_in.accepted[0].mime


@pytest.fixture(scope="module")
def podman() -> Podman:
    """Podman, or a skip that says what is missing; in CI nothing may be missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    reason = f"not installed: {', '.join(missing)}" if missing else ""
    if os.geteuid() != 0:
        reason = "podman is run as root here, and this user is not"
    if reason:
        cannot_run(reason)
    work = work_folder()
    (work / "containers.conf").write_text(CONTAINERS_CONF)
    (work / "storage.conf").write_text(STORAGE_CONF.format(work=work))
    return Podman(
        {
            **os.environ,
            "CONTAINERS_CONF": str(work / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(work / "storage.conf"),
        }
    )


def work_folder() -> Path:
    """Return a folder that stays, so that the base image is made once for a machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for parent in (cache, Path(tempfile.gettempdir())):
        work = parent / "smtp-oauth-relay-image-test"
        try:
            work.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(work, os.W_OK):
            return work
    pytest.fail("no folder can be written to")


@pytest.fixture(scope="module")
def image(podman: Podman) -> str:
    """The image, built as `make image` does but for the base, which no registry has to give."""
    if podman.run("image", "exists", BASE).returncode != 0:
        work = Path(podman.environ["CONTAINERS_CONF"]).parent
        made = subprocess.run(
            ["sh", str(Path(__file__).with_name("base_image.sh")), str(work), BASE],
            env=podman.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    podman.output(
        *("build", "--format", "docker", "--pull=never", "--network=host", "--tag", IMAGE),
        *("--build-arg", f"PYTHON_IMAGE={BASE}", "--build-arg", f"VERSION={__version__}"),
        str(REPOSITORY),
    )
    podman.output("image", "prune", "--force")
    return IMAGE


@pytest.fixture(scope="module")
def microsoft() -> Iterator[Microsoft]:
    """A Microsoft that knows one application."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            StandIn([Application(TENANT, CLIENT, SECRET)])
        ) as stand_in,
    ):
        yield Microsoft(stand_in, portal)


@contextmanager
def started(
    podman: Podman, image: str, microsoft: Microsoft, folder: Path, *, key_owner: int = UID
) -> Iterator[Container]:
    """Run the relay with nothing writable, no capability, and certificates from outside."""
    ca = write_certificates(folder / "certs", key_owner)
    shutil.copyfile(microsoft.stand_in.ca_file, folder / "microsoft.pem")
    (folder / "microsoft.pem").chmod(0o644)
    name = f"relay-{uuid.uuid4().hex[:12]}"
    port = free_port()
    settings = {
        "SMTP_LISTEN": f"127.0.0.1:{port}",
        "STATUS_LISTEN": f"127.0.0.1:{free_port()}",
        **microsoft.settings(),
    }
    podman.output(
        *("run", "--detach", "--name", name, "--health-interval=disable", "--memory=256m"),
        *("--read-only", "--read-only-tmpfs=false", "--cap-drop=all"),
        *("--security-opt", "no-new-privileges"),
        *("--volume", f"{folder / 'certs'}:{HOME}/certs:ro"),
        *("--volume", f"{folder / 'microsoft.pem'}:/run/ca.pem:ro"),
        *(f"--env={variable}={value}" for variable, value in settings.items()),
        image,
    )
    try:
        yield Container(podman, name, port, ca)
    finally:
        podman.output("rm", "--force", "--time", "5", name)


def write_certificates(folder: Path, key_owner: int) -> trustme.CA:
    """Write cert.pem for all to read and key.pem for its owner alone."""
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    folder.mkdir()
    folder.chmod(0o755)
    cert, key = folder / "cert.pem", folder / "key.pem"
    for each in issued.cert_chain_pems:
        each.write_to_path(cert, append=True)
    issued.private_key_pem.write_to_path(key)
    cert.chmod(0o644)
    key.chmod(0o400)
    os.chown(key, key_owner, key_owner)
    return ca


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def relay(
    podman: Podman,
    image: str,
    microsoft: Microsoft,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Container]:
    """One running relay for the tests that leave it running."""
    folder = tmp_path_factory.mktemp("relay")
    with started(podman, image, microsoft, folder) as container:
        container.wait_until_ready()
        yield container


def test_the_relay_is_an_unprivileged_user(relay: Container) -> None:
    """A hole in the relay must not open the host: no root, no user id of the host's people."""
    uid = relay.podman.output("exec", relay.name, "id", "-u")
    gid = relay.podman.output("exec", relay.name, "id", "-g")
    status = Path("/proc", relay.inspect(".State.Pid"), "status").read_text()

    assert int(uid) >= UID
    assert int(gid) >= UID
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_the_root_file_system_is_read_only(relay: Container) -> None:
    """What `readOnlyRootFilesystem: true` demands is what these tests run with."""
    written = relay.podman.run("exec", relay.name, "touch", f"{HOME}/file", "/tmp/file")  # noqa: S108 (inside)

    assert written.returncode != 0


def test_the_health_check_succeeds(relay: Container) -> None:
    """Docker restarts or replaces what its health check calls ill."""
    checked = relay.podman.run("healthcheck", "run", relay.name)

    assert checked.returncode == 0, checked.stdout + relay.logs()


def test_it_is_healthy_soon_and_small_while_idle(
    podman: Podman,
    image: str,
    microsoft: Microsoft,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Orchestrators wait for it and give it memory. The work counts: the time is the machine's."""
    with started(podman, image, microsoft, tmp_path) as container:
        began = time.monotonic()
        container.wait_until_ready()
        seconds = time.monotonic() - began
        checked = podman.run("healthcheck", "run", container.name)
        process = Path("/proc", container.inspect(".State.Pid"))
        times = (process / "stat").read_text().rpartition(")")[2].split()
        worked = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
        resident = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text())
    idle = int(resident[1]) * 1024 if resident else 0

    with capsys.disabled():
        work = f"ready in {seconds:.1f} s ({worked:.1f} s of work)"
        print(f"\nimage: {work}, {idle / 2**20:.1f} MiB idle")
    assert checked.returncode == 0
    assert worked < HEALTHY_S
    assert 0 < idle < MAX_IDLE_OCTETS


def test_log_in_is_offered_after_starttls_only(relay: Container) -> None:
    """A password must never cross the network unencrypted."""
    with relay.connect() as session:
        session.ehlo()
        before = dict(session.esmtp_features)
        session.starttls(context=relay.trust())
        session.ehlo()

    assert "starttls" in before
    assert "auth" not in before
    assert set(session.esmtp_features["auth"].split()) >= {"PLAIN", "LOGIN"}
    assert "starttls" not in session.esmtp_features


def test_a_mail_goes_through(relay: Container, microsoft: Microsoft) -> None:
    """The whole way in the image: TLS, log-in, token, sendMail, with a CA from outside."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "scan"
    mail.set_content("page 1\n")

    with relay.connect() as session:
        session.starttls(context=relay.trust())
        session.login(f"{TENANT}@{CLIENT}", SECRET)
        refused = session.send_message(mail)

    assert refused == {}
    assert b"page 1" in microsoft.wait_for_mail()
    assert SECRET not in relay.logs()


def test_stop_ends_it_cleanly(
    podman: Podman, image: str, microsoft: Microsoft, tmp_path: Path
) -> None:
    """An update of the image is no crash: exit status 0, at once when nothing is under way."""
    with started(podman, image, microsoft, tmp_path) as container:
        container.wait_until_ready()
        process = Path("/proc", container.inspect(".State.Pid"))
        began = time.monotonic()
        podman.output("stop", "--time", str(STOP_TIMEOUT_S), container.name)
        seconds = time.monotonic() - began
        status = container.inspect(".State.ExitCode")
        logs = container.logs()

    assert status == "0", logs
    assert seconds < STOP_TIMEOUT_S / 4
    assert not process.exists()
    assert "Traceback" not in logs


def test_an_unreadable_key_is_explained(
    podman: Podman, image: str, microsoft: Microsoft, tmp_path: Path
) -> None:
    """The most common mistake with mounted certificates: root's key, an unprivileged relay."""
    with started(podman, image, microsoft, tmp_path, key_owner=0) as container:
        status = podman.output("wait", container.name)
        logs = container.logs()

    assert status == "78", logs
    assert "certs/key.pem" in logs
    assert "400" in logs
    assert str(UID) in logs
    assert "chown" in logs or "chgrp" in logs or "setfacl" in logs or "chmod" in logs
    assert "Traceback" not in logs


def test_nothing_can_be_installed_or_built_in_it(relay: Container) -> None:
    """Who gets in finds no tools, and scanners find no packages that nobody uses."""
    names = ("pip", "pip3", "gcc", "cc", "make", "uv", "hatchling", "pytest")
    found = relay.podman.run(
        "exec", relay.name, "sh", "-c", f"for name in {' '.join(names)}; do command -v $name; done"
    )
    pip = relay.podman.run("exec", relay.name, "/opt/relay/bin/python", "-m", "pip", "--version")

    assert found.stdout == ""
    assert "No module named pip" in pip.stdout


def test_every_module_is_compiled(relay: Container) -> None:
    """Without bytecode each start and each health check would compile all that they import."""
    uncompiled = relay.podman.output(
        *("exec", relay.name, "/opt/relay/bin/python", "-c"),
        "import importlib.util, os, sys, smtp_oauth_relay.cli, smtp_oauth_relay.app;"
        "print([name for name, module in sys.modules.items() if (getattr(module, '__file__', None)"
        " or '').endswith('.py') and not os.path.exists(importlib.util.cache_from_source("
        "module.__file__))])",
    )

    assert uncompiled == "[]"


def test_the_image_says_what_it_is(podman: Podman, image: str) -> None:
    """Registries, scanners and administrators read the labels."""
    template = '{{index .Config.Labels "org.opencontainers.image.%s"}}'
    labels = {
        name: podman.output("image", "inspect", "--format", template % name, image)
        for name in ("title", "licenses", "version", "source")
    }

    assert labels == {
        "title": "SMTP OAuth Relay",
        "licenses": "Apache-2.0",
        "version": __version__,
        "source": "https://github.com/JustinIven/smtp-oauth-relay",
    }


def test_the_image_stays_small(
    podman: Podman, image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the image adds to its base is the relay, its libraries and nothing else."""
    octets = {
        name: int(podman.output("image", "inspect", "--format", "{{.Size}}", name))
        for name in (image, BASE)
    }
    own = octets[image] - octets[BASE]

    compressed = compressed_layers(podman, image, tmp_path)[1:]

    with capsys.disabled():
        print(
            f"\nimage: {octets[image] / 1e6:.0f} MB, of which {own / 1e6:.0f} MB are the relay's,"
            f" {sum(compressed) / 1e6:.0f} MB compressed"
        )
    assert own < MAX_OWN_OCTETS
    assert PUBLISHED_BASE_OCTETS + sum(compressed) < MAX_COMPRESSED_OCTETS


def compressed_layers(podman: Podman, image: str, folder: Path) -> list[int]:
    """Return the sizes of an image's layers as a registry would keep them; the base comes first."""
    podman.output("push", "--compress", image, f"dir:{folder / 'pushed'}")
    manifest = json.loads((folder / "pushed/manifest.json").read_text())
    return [layer["size"] for layer in manifest["layers"]]
