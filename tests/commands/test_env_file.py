"""Settings in a file: `--env-file`."""

from pathlib import Path

import pytest

from smtp_oauth_relay.adapters.env_file import read_env_file
from smtp_oauth_relay.cli import main
from smtp_oauth_relay.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\nB=two words\n", {"A": "1", "B": "two words"}),
        ("# a comment\n\nexport A=1\n", {"A": "1"}),
        ("A='one # two'\nB=\"x\"\nC=y # why\n", {"A": "one # two", "B": "x", "C": "y"}),
        ("A=a$B${C}\nB=~x\n", {"A": "a$B${C}", "B": "~x"}),
        ("A=\n", {"A": ""}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("KEY='-----BEGIN\nKEY-----'\n", {"KEY": "-----BEGIN\nKEY-----"}),
        ("", {}),
    ],
)
def test_variables_are_read(text: str, variables: dict[str, str], tmp_path: Path) -> None:
    """As docker compose and systemd read them; and a secret with a dollar stays what it is."""
    path = tmp_path / "relay.env"
    path.write_text(text, encoding="utf-8", newline="")

    assert read_env_file(path) == variables


def test_what_is_no_assignment_is_told_by_its_number(tmp_path: Path) -> None:
    """Its text may be a secret."""
    path = tmp_path / "relay.env"
    path.write_text("A=1\nKanarienvogel\nB='unfinished\n", encoding="utf-8")

    with pytest.raises(SettingsError) as refused:
        read_env_file(path)

    assert refused.value.problems == (
        f"--env-file {path}, line 2: this is no NAME=value.",
        f"--env-file {path}, line 3: this is no NAME=value.",
    )


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A relay with half of its settings must not start."""
    (tmp_path / "latin1.env").write_bytes(b"A=\xe4")

    for name, told in (
        ("missing.env", "cannot be read: No such file or directory."),
        ("latin1.env", "is no UTF-8 text."),
    ):
        with pytest.raises(SettingsError, match=f"--env-file .*{name} {told}"):
            read_env_file(tmp_path / name)


@pytest.mark.parametrize("place", ["before", "after", "without"])
def test_the_file_counts_in_every_command(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the command, after it, and where there is none."""
    path = tmp_path / "relay.env"
    path.write_text("LOG_LEVEL=LOUD\n", encoding="utf-8")
    file = ["--env-file", str(path)]

    status = main({"before": [*file, "serve"], "after": ["serve", *file], "without": file}[place])

    assert status == 78
    assert "LOG_LEVEL is 'LOUD'" in capsys.readouterr().err


def test_the_environment_counts_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is typed in front of a command is meant for now."""
    path = tmp_path / "relay.env"
    path.write_text("LOG_LEVEL=LOUD\nLOG_FORMAT=verse\n", encoding="utf-8")
    monkeypatch.setenv("LOG_LEVEL", "INFO")

    main(["serve", "--env-file", str(path)])

    told = capsys.readouterr().err
    assert "LOG_FORMAT is 'verse'" in told
    assert "LOG_LEVEL" not in told
