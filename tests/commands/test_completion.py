"""The Tab key, in real shells."""

import subprocess
from pathlib import Path

import pytest

from smtp_oauth_relay.cli import main
from smtp_oauth_relay.commands.completion import SHELLS
from tests.patience import PATIENCE_S
from tests.tools import needs

BASH = """
source {script}
complete() {{ :; }}
ask() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _shtab_smtp_oauth_relay; }}
ask {words}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = "source {script}; complete -C {line}"
CASES = [
    (["se"], {"send-test", "serve"}),
    (["username", ""], {"encode", "decode"}),
    (["completion", ""], set(SHELLS)),
    (["send-test", "--p"], {"--port", "--password-stdin"}),
    (["check", "--j"], {"--json"}),
]


@pytest.fixture
def script(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Path:
    """What `completion SHELL` prints, in a file."""
    assert main(["completion", request.param]) == 0
    path = tmp_path / f"completion.{request.param}"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


def shell(name: str, *arguments: str) -> list[str]:
    """Return the lines that a shell prints; skip if there is no such shell here."""
    ended = subprocess.run(
        [needs(name), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(("words", "expected"), CASES)
def test_bash(script: Path, words: list[str], expected: set[str]) -> None:
    """The shell of most servers."""
    quoted = " ".join(f"'{word}'" for word in ["smtp-oauth-relay", *words])

    assert set(shell("bash", "-c", BASH.format(script=script, words=quoted))) == expected


@pytest.mark.parametrize("script", ["fish"], indirect=True)
@pytest.mark.parametrize(("words", "expected"), CASES)
def test_fish(script: Path, words: list[str], expected: set[str]) -> None:
    """It shows what each is for, too."""
    line = f"'{' '.join(['smtp-oauth-relay', *words])}'"

    lines = shell("fish", "--no-config", "-c", FISH.format(script=script, line=line))

    assert {offer.split("\t")[0] for offer in lines if offer} == expected


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh(script: Path) -> None:
    """The shell of a Mac: it takes the script, and knows whom to ask."""
    known = f"""autoload -U compinit; compinit -D
    eval "$(<{script})"; print $_comps[smtp-oauth-relay]"""

    assert shell("zsh", "-f", "-c", known) == ["_shtab_smtp_oauth_relay"]


def test_another_shell_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that there are."""
    with pytest.raises(SystemExit) as ended:
        main(["completion", "cmd"])

    assert ended.value.code == 64
    assert "invalid choice: 'cmd'" in capsys.readouterr().err
