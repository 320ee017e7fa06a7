"""`python -m benchmarks.faults.memory`: what a training of many steps adds to the memory of its process.

A line is fitted to the resident memory after a warm-up, of which the slope is told for 10,000 steps.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy
import torch

from benchmarks.faults.__main__ import Bench
from benchmarks.faults.trial import ended, forked
from dgmrun.objectives.base import Objective
from dgmrun.stages.train import board
from tests.contracts.pairs import Command

LOOKED, SAVED = 100, 200
"""Steps between looks at the memory, and between checkpoints and between validations."""
WARM = 0.25
"""Share of the steps before the line begins."""
ALLOWED = 0.01
"""Largest share of the memory that 10,000 steps may add."""
LONG = (f"trainer.validate_every_n_steps={SAVED}", f"checkpoint.every_n_steps={SAVED}", "trainer.patience=null")


def watch(file: Path, seconds: float) -> None:
    """From now on, writes each so many steps and the bytes that are resident then; ends training when time is up."""
    board.COST = 0.0  # so that what draws pictures is imported during the warm-up
    stream, training_step, page = file.open("w"), Objective.training_step, os.sysconf("SC_PAGE_SIZE")
    end = time.monotonic() + seconds

    def watched(self: Objective, batch: Any, batch_idx: int) -> Any:
        if self.iteration % LOOKED == 0:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            print(self.iteration, resident, file=stream, flush=True)
            if time.monotonic() > end:
                os.kill(os.getpid(), signal.SIGKILL)
        return training_step(self, batch, batch_idx)

    Objective.training_step = watched  # type: ignore[method-assign, misc]


def growth(file: Path) -> tuple[int, float, float]:
    """Returns the steps that were watched, the bytes at their end, and those that 10,000 steps add."""
    steps, resident = numpy.loadtxt(file, ndmin=2).T
    late = steps >= WARM * steps[-1]
    slope = numpy.polyfit(steps[late], resident[late], 1)[0] if late.sum() > 2 else numpy.nan
    return int(steps[-1]), float(resident[-1]), 10_000 * float(slope)


def main() -> None:
    """Trains by each objective, and says by how much the memory grew."""
    parser = ArgumentParser(prog="python -m benchmarks.faults.memory", description="memory of long trainings")
    parser.add_argument("--objective", nargs="+", metavar="NAME", help="some objectives; all if none is named")
    parser.add_argument("--steps", type=int, default=20_000, help="most steps of each")
    parser.add_argument("--seconds", type=float, default=60.0, help="most seconds of each")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(Path(mkdtemp(prefix="memory-")), seed=0)
    print(f"{'objective':22}{'model':14}{'steps':>8}{'resident':>12}{'10,000 steps add':>20}", flush=True)
    for objective in given.objective or sorted(bench.models):
        model, folder = bench.models[objective][0], bench.folder / objective
        command = Command(model, objective, bench.teacher(), *LONG, f"trainer.max_steps={given.steps}")
        words = [*command.training, "train", f"hydra.run.dir={folder / 'run'}"]
        ended(forked(words, folder / "said.txt", partial(watch, folder / "memory.txt", given.seconds)), longest=None)
        steps, resident, added = growth(folder / "memory.txt")
        share = f"{added / resident:+.2%}" + ("  grows" if added > ALLOWED * resident else "")
        print(f"{objective:22}{model:14}{steps:8}{resident / 1e6:9.0f} MB{share:>20}", flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
