"""The real files: $DGMRUN_DATA, else shared/data beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    folder = Path(os.environ.get("DGMRUN_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not folder.is_dir():
        absent = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        absent(f"no real data: {folder} is no folder; name one in DGMRUN_DATA")
    return folder
