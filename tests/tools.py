"""Programs that some tests need and that pip does not bring."""

import os
import shutil

import pytest


def needs(command: str) -> str:
    """Return where a program is; skip the test on a machine without it, but fail it in CI."""
    found = shutil.which(command)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"{command} is not installed")
    assert found is not None, f"{command} is not installed"
    return found
