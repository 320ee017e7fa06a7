"""Scripts among the examples run."""

from __future__ import annotations

import csv
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_both_ways_to_the_determinant_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script itself asserts that they give the same number."""
    monkeypatch.setattr(sys, "argv", ["log_determinant.py", str(tmp_path / "cost.png"), "--dims", "2", "4", "8"])
    runpy.run_path(str(EXAMPLES / "log_determinant.py"), run_name="__main__")
    rows = list(csv.DictReader((tmp_path / "cost.csv").read_text().splitlines()))
    assert [row.pop("dims") for row in rows] == ["2", "4", "8"]
    assert all(float(milliseconds) > 0 for row in rows for milliseconds in row.values())
    assert (tmp_path / "cost.png").is_file()
