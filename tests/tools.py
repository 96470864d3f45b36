"""Programs that some tests need and that pip does not bring."""

import os
import shutil
from typing import NoReturn

import pytest


def needs(command: str, path: str | None = None, how: str = "") -> str:
    """Return where a program is; without it, see `cannot_run`.

    Args:
        command: its name.
        path: the folders in which it is looked for, as in `PATH`; `None` for those of `PATH`.
        how: to get it.
    """
    found = shutil.which(command, path=path)
    if found is None:
        cannot_run(f"{command} is not installed{how and ': '}{how}")
    return found


def cannot_run(why: str) -> NoReturn:
    """Skip the test, but fail it in CI, where everything must be tested."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
