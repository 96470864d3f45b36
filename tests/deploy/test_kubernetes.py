"""The Kubernetes manifests, built by kustomize and held strictly to Kubernetes' own schemas."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from smtp_oauth_relay.configuration.reading import load
from smtp_oauth_relay.configuration.settings import Settings
from tests.tools import needs

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
BUILDS = ("base", *sorted(f"overlays/{path.name}" for path in (FOLDER / "overlays").iterdir()))
FOREIGN = {"cert-manager.io/v1"}  # kinds that a cluster must be taught; Kubernetes has no schema
PLACEHOLDER = re.compile(r"//[A-Z]+\.")  # the name of a vault or an account, to be written in
KUBERNETES = ("1.31", "1.37")  # the oldest and the newest that the manifests are held to


def built(build: str) -> list[dict[str, Any]]:
    """Return the manifests that kustomize makes of a folder."""
    done = subprocess.run(
        [needs("kubectl"), "kustomize", str(FOLDER / build)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


def no_file(path: str) -> str:
    """Settings of the manifests come from no files."""
    raise FileNotFoundError(path)


def one(manifests: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the only manifest of a kind."""
    (found,) = (each for each in manifests if each["kind"] == kind)
    return found


def written() -> Iterator[Any]:
    """Yield the manifests as they stand in the files, each with its path."""
    for path in sorted(FOLDER.rglob("*.yaml")):
        if path.name != "kustomization.yaml":
            for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                yield pytest.param(manifest, id=path.relative_to(FOLDER).as_posix())


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("manifest", list(written()))
def test_manifests_are_what_kubernetes_knows(manifest: dict[str, Any], version: str) -> None:
    """A misspelt field is left out without a word by older clusters."""
    if manifest["apiVersion"] in FOREIGN:
        assert {"metadata", "spec"} < manifest.keys()
        return

    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("build", BUILDS)
def test_overlays_make_what_kubernetes_knows(build: str) -> None:
    """A patch with a wrong path, or one that leaves something behind, shows here."""
    manifests = built(build)

    for manifest in manifests:
        if manifest["apiVersion"] not in FOREIGN:
            kubernetes_validate.validate(manifest, KUBERNETES[-1], strict=True)
    assert {m["metadata"].get("namespace", "smtp-relay") for m in manifests} == {"smtp-relay"}


@pytest.mark.parametrize("build", BUILDS)
def test_the_settings_are_those_of_the_relay(build: str) -> None:
    """A misspelt setting has no effect; a wrong value lets no pod start."""
    data = one(built(build), "ConfigMap")["data"]

    assert data.keys() <= {name.upper() for name in Settings.model_fields}
    if not PLACEHOLDER.search(str(data)):
        load(data, no_file)


@pytest.mark.parametrize("build", BUILDS)
def test_a_stop_is_longer_than_the_drain(build: str) -> None:
    """Otherwise Kubernetes kills what is on its way, and the device sends it twice."""
    manifests = built(build)
    data = one(manifests, "ConfigMap")["data"]
    pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
    drain = load({}, no_file).drain_timeout

    assert pod["terminationGracePeriodSeconds"] >= float(data["DRAIN_DELAY"]) + drain
    assert pod["terminationGracePeriodSeconds"] >= 90


@pytest.mark.parametrize("build", BUILDS)
def test_pods_have_nothing_to_gain(build: str) -> None:
    """What the namespace enforces as `restricted`, and a read-only file system on top."""
    manifests = built(build)
    pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    level = one(manifests, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]

    assert level == "restricted"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()


@pytest.mark.parametrize("build", BUILDS)
def test_everything_selects_the_pods(build: str) -> None:
    """A policy, a budget or a service for no pod does nothing, and nobody notices."""
    manifests = built(build)
    deployment = one(manifests, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        one(manifests, "Service")["spec"]["selector"],
        one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]

    assert all(selector and selector.items() <= labels for selector in selectors)
    target = one(manifests, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]


@pytest.mark.parametrize("build", BUILDS)
def test_the_relay_learns_who_connects(build: str) -> None:
    """Either the node hands on the device's address, or the PROXY header names it."""
    manifests = built(build)
    told = "PROXY_PROTOCOL_FROM" in one(manifests, "ConfigMap")["data"]

    assert told or one(manifests, "Service")["spec"]["externalTrafficPolicy"] == "Local"
