"""The real files, and the command line as a function."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dgmrun.cli import main

Command = Callable[..., int]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """$DGMRUN_DATA, else shared/data beside the checkout."""
    folder = Path(os.environ.get("DGMRUN_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        absent = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        absent(f"no real data: {folder} is no folder; name one in DGMRUN_DATA")
    return folder


@pytest.fixture
def dgmrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`dgmrun(words...)`: the console script in this process, in a folder of its own; gives the exit status."""
    monkeypatch.chdir(tmp_path)

    def command(*argv: str) -> int:
        monkeypatch.setattr(sys, "argv", ["dgmrun", *argv])
        return main()

    return command
