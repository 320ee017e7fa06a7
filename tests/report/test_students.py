"""The picture of students: what log Z of their teacher cost, and which figures have an interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dgmrun.pictures import exhibit
from dgmrun.pictures.drawing import png
from dgmrun.report.runs import Entry, read
from dgmrun.run.directory import Run
from tests.figure import entry, identity


def student(path: Path, seconds: Any = 40.0, **ends: Any) -> None:
    """A run that measured the teacher by both methods, in a second each."""
    through = {"proposal": identity(path.name.encode().hex()), "kind": "estimate"}
    log_z = {
        method: entry("log_z", 5.0, "teacher", **through, interval=ends.get(method)) for method in ("bridge", "ais")
    }
    Run.create(path, {"choices": {"model": "nade"}}, {"status": "done", "log_z": log_z, "train": {"seconds": seconds}})


def entries(folder: Path) -> list[Entry]:
    """The runs of a folder, whose weights are their names."""
    found = read([folder])
    return [Entry(**{**vars(one), "weights": one.path.name.encode().hex()}) for one in found]


@pytest.mark.drawn
def test_students_are_drawn_by_the_seconds_and_the_interval_of_their_figures(tmp_path: Path) -> None:
    student(tmp_path / "good", bridge=[4.9, 5.1], ais=[4.0, 6.0])
    student(tmp_path / "poor", seconds=10.0, bridge=[3.0, 7.0], ais=[4.0, None])
    picture = exhibit._students(entries(tmp_path))
    assert picture is not None
    told = {name: list(column) for name, column in picture.data.items()}
    assert told["panel"] == ["log Z of the weights teacher"] * 4
    assert [*zip(told["student"], told["method"], strict=True)] == [
        (name, method) for name in ("good", "poor") for method in ("bridge", "ais")
    ]
    assert told["training"] == [40.0, 40.0, 10.0, 10.0]
    assert told["measuring"] == [2.0] * 4, "both methods share their samples"
    assert told["half_width"] == [pytest.approx(0.1), 1.0, 2.0, None]
    labels = picture.axes[1].get_legend_handles_labels()[1]
    assert [label for label in labels if "no interval" in label] == ["poor, ais: no interval"]
    png(picture)


@pytest.mark.parametrize("seconds", [None, "long", -1.0, 0, True, {}, [1]])
def test_one_student_or_one_of_unknown_cost_is_not_compared(tmp_path: Path, seconds: Any) -> None:
    student(tmp_path / "good", bridge=[4.9, 5.1])
    student(tmp_path / "spoilt", seconds=seconds, bridge=[4.9, 5.1])
    assert exhibit._students(entries(tmp_path)) is None


def test_students_without_any_interval_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student(tmp_path / "poor", bridge=[5.0, 5.0])
    student(tmp_path / "edited", bridge=[5.1, 4.9])
    assert exhibit._students(entries(tmp_path)) is None
    assert "log Z of the weights teacher is left out of students.png: none of" in capsys.readouterr().err
