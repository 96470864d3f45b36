"""Runs the suites of aiosmtpd and aiosmtplib against the relay's SMTP class: `make suites`.

Each suite runs twice, with aiosmtpd's class and with the relay's. What passes with the first and
not with the second is a difference, and must be in differences.toml with its reason; so that file
can neither lack one nor keep one that is gone. docs/suites.md is written from the same run.
"""

import fnmatch
import os
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORK = Path(os.environ.get("INTEROP_TOOLS") or ROOT / ".interop") / "suites"
PAGE = ROOT / "docs/suites.md"
BEGIN, END = "<!-- made by `make suites` -->", "<!-- the end of `suites` -->"


@dataclass(frozen=True)
class Suite:
    """A suite of others.

    Attributes:
        name: of the package.
        version: of its source distribution.
        tests: which of its modules speak SMTP.
        options: of pytest.
    """

    name: str
    version: str
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it was unpacked."""
        return WORK / f"{self.name}-{self.version}"

    def results(self, *, is_ours: bool) -> dict[str, bool]:
        """Return which tests passed, with the relay's class or with aiosmtpd's."""
        report = WORK / f"{self.name}-{'relay' if is_ours else 'aiosmtpd'}.xml"
        report.unlink(missing_ok=True)
        own = [str(ROOT / "src"), str(Path(__file__).parent)]
        arguments = ["-q", "-p", "no:cacheprovider", "-W", "ignore", f"--junitxml={report}"]
        arguments.append(f"--confcutdir={self.folder}")  # what lies above it is not theirs
        if is_ours:
            arguments += ["-p", "ours"]
        done = subprocess.run(
            [WORK / "venv/bin/python", "-m", "pytest", *arguments, *self.options, *self.tests],
            cwd=self.folder,
            env={
                **os.environ,
                "CI": "true",  # Hypothesis then tries the same in each run, however long it takes
                "PYTHONPATH": os.pathsep.join([*own, str(self.folder / "src")]),
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if not report.exists():
            raise SystemExit(f"{self.name} could not be run:\n{done.stdout}{done.stderr}")
        cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it
        return {
            f"{case.get('classname', '').rpartition('tests.')[2]}::{case.get('name')}": not any(
                child.tag in ("failure", "error", "skipped") for child in case
            )
            for case in cases
        }


SUITES = [
    Suite(
        "aiosmtpd",
        "1.4.6",
        tuple(f"aiosmtpd/tests/test_{name}.py" for name in ("smtp", "starttls", "smtpsmuggling")),
        ("-c", os.devnull, "--rootdir", "."),
    ),
    Suite("aiosmtplib", "5.1.3", ("tests",)),
]


def compare(suite: Suite, reasons: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a suite's part of the page, and what is wrong with differences.toml."""
    theirs, ours = suite.results(is_ours=False), suite.results(is_ours=True)
    passed = [name for name, is_good in theirs.items() if is_good]
    differing = [name for name in passed if not ours.get(name)]
    problems, explained = [], {pattern: 0 for pattern in reasons}
    for name in differing:
        found = [pattern for pattern in reasons if fnmatch.fnmatchcase(name, _literal(pattern))]
        for pattern in found[:1]:
            explained[pattern] += 1
        if not found:
            problems.append(f"{suite.name}: {name} differs, and no reason is given")
    problems += [f"{suite.name}: {each} differs no more" for each, n in explained.items() if not n]
    rows = [f"| {n} | `{each}` | {reasons[each]} |" for each, n in explained.items()]
    head = (
        f"### {suite.name} {suite.version}\n\n"
        f"{len(passed)} tests pass with aiosmtpd's class; of these {len(passed) - len(differing)} "
        f"pass with the relay's, and {len(differing)} differ:\n\n"
        "| tests | which | why |\n| ---: | --- | --- |\n"
    )
    return head + "\n".join(rows), problems


def _literal(pattern: str) -> str:
    """Return the pattern with its brackets as such: parametrised tests have them in their names."""
    return pattern.replace("[", "[[]")


def main() -> int:
    """Run all, write the page, and return 1 for a difference without a reason."""
    reasons = tomllib.loads(Path(__file__).with_name("differences.toml").read_text())
    parts, problems = [], []
    for suite in SUITES:
        part, wrong = compare(suite, reasons[suite.name])
        print(part.partition("\n\n|")[0])
        parts.append(part)
        problems += wrong
    print("\n".join(problems))
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    made = "\n\n".join(parts)
    PAGE.write_text(f"{head}{BEGIN}\n\n{made}\n\n{END}{tail}", encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
