"""From the start of a process to its first training step done, beside what importing all of its libraries takes."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks._compare import Comparison


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Fresh processes, on the bundled digits. The first line was 1.2 while all of Lightning was imported."""
    libraries = partial(seconds, "-c", "import os, torch, lightning; os._exit(0)")
    return [
        Comparison("first step, import torch, lightning", "s", first_step, libraries, "<= 0.75"),
        Comparison("dgmrun list, import torch, lightning", "s", partial(seconds, "-m", "dgmrun", "list"), libraries),
    ]


def first_step() -> float:
    """Seconds of `dgmrun model=rbm train` until its first step is done."""
    with TemporaryDirectory() as folder:
        return seconds("-m", "benchmarks._first_step", "model=rbm", "train", f"hydra.run.dir={folder}")


def seconds(*arguments: str) -> float:
    """What a Python process takes."""
    start = perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - start
