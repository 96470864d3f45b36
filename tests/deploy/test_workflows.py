"""GitHub's workflows and forms, Dependabot and Compose, each held to its published schema."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.github-issue-forms": [
        path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
    ],
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE/config.yml"],
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.compose-spec": [ROOT / "deploy/compose.yaml"],
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def jobs(workflow: Path) -> dict[str, Any]:
    """Return the jobs of a workflow."""
    content: dict[str, Any] = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return content


@pytest.mark.parametrize(("schema", "files"), SCHEMAS.items(), ids=SCHEMAS)
def test_files_are_what_their_readers_know(schema: str, files: list[Path]) -> None:
    """GitHub tells of a misspelt key only after the push, if at all. The schemas come along."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]

    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_no_hole_in_the_workflows() -> None:
    """Actions by their hash, no more rights than needed, nothing of strangers in a shell."""
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--min-severity=medium", GITHUB],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_make_what_can_be_made(workflow: Path) -> None:
    """A target that was renamed would be missed at the next release only."""
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))

    made = set(re.findall(r"\bmake ([a-z-]+)", workflow.read_text(encoding="utf-8")))

    assert made <= targets


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_ends_in_time_and_may_do_little(workflow: Path) -> None:
    """A job that hangs costs hours; a token with rights is what an attacker wants."""
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))

    assert content["permissions"] == {"contents": "read"}
    for job in jobs(workflow).values():
        assert "uses" in job or job["timeout-minutes"] <= 60


def test_all_supported_versions_of_python_are_tested() -> None:
    """What the package claims to run on."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    claimed = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)

    tested = jobs(GITHUB / "workflows/tests.yml")["python"]["strategy"]["matrix"]["python"]

    assert tested == claimed
