"""The faults: each happens to a training, which is then to become what it would have been without it."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from signal import SIG_IGN, SIGINT, SIGKILL, SIGTERM, signal
from typing import Any

import torch
from tensorboard.summary.writer.record_writer import RecordWriter

from benchmarks.faults import disk
from benchmarks.faults.trial import LONGEST, Lost, Trial, ended
from benchmarks.faults.writes import within
from dgmrun.data.source import InMemorySource
from dgmrun.objectives.base import Objective
from dgmrun.run import metrics
from dgmrun.stages.train import limits

Fault = Callable[[Trial], None]
DAY = 86400.0
ENDED = (0, 130, -SIGINT, -SIGTERM)
"""Exit statuses of what was asked to end: it had ended, it did, or it had not begun to listen."""


def kill(trial: Trial) -> None:
    """SIGKILL at any moment of a life."""
    trial.go(signals=[(trial.moment(), SIGKILL)])
    trial.check_resumes()


def kill_in_write(trial: Trial) -> None:
    """SIGKILL within any write."""
    trial.go(before=partial(within, trial.write(), _die))
    trial.check_resumes()


def terminate(trial: Trial) -> None:
    """SIGTERM at any moment."""
    _is_ended(trial.go(signals=[(trial.moment(), SIGTERM)]))
    trial.check_told()
    trial.check_resumes()


def interrupt_twice(trial: Trial) -> None:
    """Ctrl-C, and again before the first has been answered."""

    def impatient() -> None:
        limits.IMPATIENT = 0.0

    moment = trial.moment()
    _is_ended(trial.go(before=impatient, signals=[(moment, SIGINT), (trial.random.uniform(0, 0.02), SIGINT)]))
    trial.check_resumes()


def background(trial: Trial) -> None:
    """Ctrl-C to a program that was started with SIGINT ignored."""
    status = trial.go(before=lambda: signal(SIGINT, SIG_IGN), signals=[(trial.moment(), SIGINT)])
    _is_ended(status)
    trial.check_told()
    trial.check_resumes()


def full_disk(trial: Trial) -> None:
    """No byte is left from any write on."""
    filler = trial.run.parent / "filler"
    trial.go(before=partial(within, trial.write(), partial(_fill, filler)))
    filler.unlink(missing_ok=True)
    trial.check_told("No space left on device")
    trial.check_resumes()


def full_disk_in_metrics(trial: Trial) -> None:
    """No byte is left halfway through a row of metrics.csv."""
    append, calls = metrics.append, iter(range(trial.random.randrange(1, 5)))

    def half(run: Path, values: Any, step: int) -> None:
        if next(calls, None) is None:
            with (run / metrics.METRICS).open("a") as stream:
                stream.write(f"{step},train/lo")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run / metrics.METRICS))
        append(run, values, step)

    _expect_no_space(trial, lambda: setattr(metrics, "append", half))


def full_disk_in_events(trial: Trial) -> None:
    """No byte is left when the event file is written."""
    write, calls = RecordWriter.write, iter(range(trial.random.randrange(1, 9)))

    def fails(self: RecordWriter, data: bytes) -> None:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, data)

    _expect_no_space(trial, lambda: setattr(RecordWriter, "write", fails))


def cut_short(trial: Trial) -> None:
    """A checkpoint of which only a part is there."""
    _damage(trial, lambda content: content[: trial.random.randrange(len(content))])


def flipped(trial: Trial) -> None:
    """A checkpoint of which one bit is another."""

    def flip(content: bytes) -> bytes:
        place, changed = trial.random.randrange(len(content)), bytearray(content)
        changed[place] ^= 1 << trial.random.randrange(8)
        return bytes(changed)

    _damage(trial, flip)


def not_a_number(trial: Trial) -> None:
    """A parameter that is NaN from some batch on: nothing can go on from there but what was before."""
    step = trial.random.randrange(1, 8)
    training_step = Objective.training_step

    def poisoned(self: Objective, batch: Any, batch_idx: int) -> Any:
        if self.iteration == step:
            with torch.no_grad():
                next(self.model.parameters()).fill_(torch.nan)
        return training_step(self, batch, batch_idx)

    status = trial.go(before=lambda: setattr(Objective, "training_step", poisoned))
    if status != 1:
        raise Lost(f"its status was {status}")
    trial.check_told("is not finite at step")
    trial.check_resumes()


def source_fails(trial: Trial) -> None:
    """The data cannot be read at some batch."""
    step, batches = trial.random.randrange(8), InMemorySource._batch

    def fails(self: InMemorySource, index: Any) -> Any:
        nonlocal step
        step -= 1
        if step < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO), "data.npz")
        return batches(self, index)

    trial.go(before=lambda: setattr(InMemorySource, "_batch", fails))
    trial.check_told()
    trial.check_resumes()


def clock_jumps(trial: Trial) -> None:
    """The wall clock is a day ahead or behind in a part of a training, and a kill on either side of the jump."""
    ahead = trial.random.choice((DAY, -DAY))
    for jump in (0.0, ahead, 0.0):
        within_jump = partial(setattr, time, "time", _shifted(jump))
        trial.go(before=within_jump, signals=[(trial.moment(), SIGKILL)])
    trial.check_resumes()


def read_only(trial: Trial) -> None:
    """Nothing can be written to the disk when the training is to go on."""
    trial.go(before=partial(within, trial.write(), _die))
    disk.remount(trial.run.parent, "ro")
    status = trial.go()
    disk.remount(trial.run.parent, "rw")
    if status not in (0, 1, 2):
        raise Lost(f"its status was {status}")
    trial.check_told("Read-only file system")
    trial.check_resumes()


def rank_killed(trial: Trial) -> None:
    """SIGKILL to one of two processes that train together."""
    process = trial.start()
    last, start = trial.run / "checkpoints" / "last.ckpt", time.monotonic()
    while not last.exists() and time.monotonic() - start < LONGEST:
        time.sleep(0.01)
    ranks = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    os.kill(int(trial.random.choice(ranks)), SIGKILL)
    if (status := ended(process)) != 1:
        raise Lost(f"its status was {status}")
    trial.check_told("ended by signal 9")
    trial.check_resumes()


ON_SMALL_DISK = (full_disk, read_only)
"""Those for which the run lies on a disk of its own."""
WORDS: dict[Fault, tuple[str, ...]] = {rank_killed: ("device=ddp_cpu", "trainer.max_steps=40")}
"""Settings beside those of every training."""


def _die() -> None:
    os.kill(os.getpid(), SIGKILL)


def _is_ended(status: int) -> None:
    if status not in ENDED:
        raise Lost(f"its status was {status}")


def _expect_no_space(trial: Trial, before: Callable[[], object]) -> None:
    status = trial.go(before=before)
    if status != 1:
        raise Lost(f"its status was {status}")
    trial.check_told("No space left on device")
    trial.check_resumes()


def _fill(file: Path) -> None:
    """Takes all the room that is left."""
    with file.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(2**16))
        except OSError:
            pass


def _damage(trial: Trial, damaged: Callable[[bytes], bytes]) -> None:
    """Damages the newest of two checkpoints of a training that was killed."""
    last = trial.run / "checkpoints" / "last.ckpt"
    while not last.with_name("previous.ckpt").exists():
        shutil.rmtree(trial.run, ignore_errors=True)
        trial.go(before=partial(within, trial.write(), _die))
    last.write_bytes(damaged(last.read_bytes()))
    trial.check_resumes("train")
    trial.check_told("last.ckpt is damaged")


def _shifted(jump: float) -> Callable[[], float]:
    now = time.time
    return lambda: now() + jump
