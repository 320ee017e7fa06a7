"""`python -m benchmarks.faults`: what trainings survive, a line for each fault, a column of its failures."""

from __future__ import annotations

import shutil
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from inspect import getdoc, getmembers, isfunction
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import torch

from benchmarks.faults import disk, kinds
from benchmarks.faults.trial import Lost, Trial, Undisturbed, undisturbed
from dgmrun.pictures import drawing
from tests.conftest import BINARY, DOT
from tests.contracts.pairs import Command, call, pairs

FAULTS: dict[str, kinds.Fault] = {
    name: fault
    for name, fault in getmembers(kinds, isfunction)
    if fault.__module__ == kinds.__name__ and not name.startswith("_")
}
KILLS = ("kill", "kill_in_write")
"""Faults of which `--kills` says how many there are, over all objectives; of three, one is within a write."""


class Bench:
    """Where trainings lie, and what they come to undisturbed.

    Args:
        folder: an empty one.
        seed: of the moments at which faults happen.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.models: dict[str, list[str]] = {}
        for model, objective in pairs():
            self.models.setdefault(objective, []).append(model)
        self.whole = cache(self._whole)

    def teacher(self) -> Path:
        """Returns a run, for objectives that want one."""
        run = self.folder / "teacher"
        if not run.exists():
            words = ("model=rbm", *BINARY, "model.hidden=3", "dataset.batch_size=4", "trainer.max_steps=50")
            call(self.folder, *words, "log_z.methods=[exact]", "train", "log_z", f"hydra.run.dir={run}")
        return run

    def _whole(self, model: str, objective: str, more: tuple[str, ...]) -> Undisturbed:
        return undisturbed(Command(model, objective, self.teacher(), *more), self.folder / "whole")

    def survives(self, name: str, objective: str, number: int) -> bool:
        """Makes a fault happen; if it is not survived, says so, and keeps the folder."""
        fault, models = FAULTS[name], self.models[objective]
        model = models[number % len(models)]
        folder = self.folder / f"{name}-{objective}-{number}"
        with _place(folder, fault in kinds.ON_SMALL_DISK) as place:
            whole = self.whole(model, objective, kinds.WORDS.get(fault, ()))
            trial = Trial(whole, place, folder / "said.txt", Random(f"{self.seed} {name} {objective} {number}"))
            try:
                fault(trial)
            except Lost as lost:
                again = f"--only {name} --objective {objective} --trial {number} --seed {self.seed}"
                print(f"LOST {name} {objective} ({model}): {lost}\n     in {folder}; again: {again}", flush=True)
                if place != folder and trial.run.exists():
                    shutil.copytree(trial.run, folder / "run", dirs_exist_ok=True)
                return False
        shutil.rmtree(folder)
        return True


@contextmanager
def _place(folder: Path, is_small: bool) -> Iterator[Path]:
    if is_small:
        with disk.small(folder / "disk") as place:
            yield place
    else:
        yield folder


def main() -> None:
    """Makes the faults that were asked for happen, and says what was survived."""
    given = _parser().parse_args()
    torch.set_num_threads(1)
    drawing.rendered = lambda figure, ending: DOT
    bench = Bench(Path(mkdtemp(prefix="faults-")), given.seed)
    objectives = given.objective or sorted(bench.models)
    names = given.only or (KILLS if given.kills else [name for name in FAULTS if name not in KILLS])
    numbers = {name: _numbers(given, name, len(objectives)) for name in names}
    print(f"in {bench.folder}, seed {given.seed}", flush=True)
    cells: dict[tuple[str, str], tuple[int, int]] = {}
    for name in names:
        start = time.monotonic()
        for objective, chosen in zip(objectives, numbers[name], strict=True):
            survived = [bench.survives(name, objective, number) for number in chosen]
            cells[name, objective] = (sum(survived), len(survived))
        every = _sum(cells[name, objective] for objective in objectives)
        print(f"{name:22}{_share(every):>10} {time.monotonic() - start:6.0f} s  {getdoc(FAULTS[name])}", flush=True)
    print("".join(f"{title:>22}" for title in ("objective", *names)))
    for objective in objectives:
        print("".join(f"{cell:>22}" for cell in (objective, *(_share(cells[name, objective]) for name in names))))
    print(f"survived {_share(_sum(cells.values()))}, over {len(objectives)} objectives")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m benchmarks.faults", description="what trainings survive")
    parser.add_argument("--only", choices=FAULTS, nargs="+", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--objective", nargs="+", metavar="NAME", help="some objectives; all if none is named")
    parser.add_argument("--kills", type=int, default=0, help="number of SIGKILLs over all objectives; no other fault")
    parser.add_argument("--trials", type=int, default=1, help="number of each other fault for each objective")
    parser.add_argument("--trial", type=int, help="the one of this number alone, as printed when one is lost")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _numbers(given: Namespace, name: str, objectives: int) -> list[range]:
    """Returns the numbers of the trials of a fault for each objective."""
    if given.trial is not None:
        return [range(given.trial, given.trial + 1)] * objectives
    if not given.kills or name not in KILLS:
        return [range(given.trials)] * objectives
    total = given.kills // 3 if name == "kill_in_write" else given.kills - given.kills // 3
    return [range((total + place) // objectives) for place in range(objectives)]


def _sum(cells: Iterable[tuple[int, int]]) -> tuple[int, int]:
    survived, total = zip(*cells, strict=True)
    return sum(survived), sum(total)


def _share(cell: tuple[int, int]) -> str:
    return "{} of {}".format(*cell)


if __name__ == "__main__":
    main()
