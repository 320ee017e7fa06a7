"""Kills, clocks and disks that fail: a training goes on, each step is logged once, and nobody sees a traceback."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.summary.writer.record_writer import RecordWriter

from dgmrun.cli import Log
from dgmrun.objectives.base import Objective
from dgmrun.run import metrics
from dgmrun.stages.train import fit, saved
from dgmrun.stages.train.board import Board
from tests.conftest import BINARY
from tests.contracts.pairs import assert_same, call, logged, outcome

Command = Callable[..., int]
STEPS = ("trainer.max_steps=12", "trainer.validate_every_n_steps=5", "checkpoint.every_n_steps=4")
RBM = ("model=rbm", *BINARY, "model.hidden=3", "dataset.batch_size=4", *STEPS, "train")
DAY = 86400.0


class Killed(BaseException):
    """The end of a process."""


def at(step: int, act: Callable[[], Any]) -> Callable[[Any, Any, int], Any]:
    """A training step before which, when it is the one after `step`, something happens."""
    training_step = Objective.training_step

    def acts(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.iteration == step:
            act()
        return training_step(self, batch, batch_idx)

    return acts


def dies() -> None:
    raise Killed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a training comes to."""
    folder = tmp_path_factory.mktemp("whole")
    call(folder, *RBM, f"hydra.run.dir={folder / 'run'}")
    return outcome(folder / "run")


def test_after_kills_and_jumps_of_the_clock_each_step_is_logged_once(
    dgmrun: Command, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the steps after a checkpoint, all that was logged is in the files when the process ends."""
    scalars, now, words = Board.scalars, time.time, [*RBM, "hydra.run.dir=run"]
    monkeypatch.setattr(Board, "scalars", lambda self, *values: (scalars(self, *values), self.flush()))
    for step, ahead in ((6, 0.0), (7, DAY), (11, -DAY)):
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda ahead=ahead: now() + ahead)
            patched.setattr(Objective, "training_step", at(step, dies))
            with pytest.raises(Killed):
                dgmrun(*words)
        words = ["run=run"]
    assert dgmrun(*words) == 0
    assert_same(outcome(Path("run")), whole)
    for points in (*logged(Path("run")).values(), *metrics.curves(Path("run")).values()):
        steps = [step for step, _ in points]
        assert steps == sorted(set(steps))


def full(*args: Any) -> None:
    """A write to a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", [(metrics, "append"), (RecordWriter, "write"), (os, "fsync"), (torch, "save")])
def test_a_full_disk_is_one_line_and_a_run_to_take_up(
    place: tuple[Any, str], dgmrun: Command, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Whatever was written when no room was left."""
    with monkeypatch.context() as patched:
        patched.setattr(Objective, "training_step", at(6, lambda: patched.setattr(*place, full)))
        assert dgmrun(*RBM, "hydra.run.dir=run") == 1
    told = capfd.readouterr().err
    assert "Traceback" not in told
    error, _, hint = told.strip().splitlines()[-3:]
    assert error.startswith("error: /")
    assert error.endswith(": No space left on device")
    assert hint == f"hint: room and rights to write there; then dgmrun run={Path('run').absolute()}"
    assert dgmrun("run=run") == 0
    assert_same(outcome(Path("run")), whole)
    assert not [*Path("run").rglob(".*")]


def test_a_log_for_which_no_room_is_left_is_no_traceback(
    dgmrun: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does it hide the error that came first."""

    def full_for_all() -> None:
        monkeypatch.setattr(Log, "flush", full)
        full()

    monkeypatch.setattr(Objective, "training_step", at(6, full_for_all))
    assert dgmrun(*RBM, "hydra.run.dir=run") == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert f"error: {Path('run').absolute()}: No space left on device\n" in told


def test_data_that_cannot_be_read_are_one_line(
    dgmrun: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "data.npz")

    monkeypatch.setattr(Objective, "training_step", at(6, broken))
    assert dgmrun(*RBM, "hydra.run.dir=run") == 1
    assert "error: data.npz: Input/output error\n\nhint: a disk that works; then dgmrun run=" in capsys.readouterr().err


def test_what_a_run_takes_is_told(
    dgmrun: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too little room before the training; and what it came to after it, which is no more than was said."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    assert dgmrun(*RBM, "hydra.run.dir=run", "optimizer=adam") == 0
    told = capsys.readouterr().err
    assert "warning: checkpoints may need another 132.1 kB, but only 100 B are free where" in told
    took = sum(file.stat().st_size for file in Path("run/checkpoints").iterdir())
    assert json.loads(Path("run/results.json").read_text())["train"]["checkpoint_bytes"] == took
    assert took < 3 / 4 * 132e3
    assert f"{took / 1000:.1f} kB of it checkpoints" in told


def test_a_training_that_goes_on_holds_its_state_once(dgmrun: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dgmrun(*RBM, "hydra.run.dir=run") == 0
    read: list[weakref.ref[saved.Saved]] = []

    def newest(folder: Path) -> saved.Saved | None:
        found = saved.newest(folder)
        assert found is not None
        read.append(weakref.ref(found))
        return found

    def let_go() -> None:
        assert [one() for one in read] == [None]

    monkeypatch.setattr(fit, "newest", newest)
    monkeypatch.setattr(Objective, "training_step", at(14, let_go))
    assert dgmrun("run=run", "trainer.max_steps=15") == 0
    assert len(read) == 1
