"""From the start of a process to its first training step done, less what importing its libraries takes."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from operator import sub
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks._compare import Comparison


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Fresh processes, on the bundled digits; the figure is a difference."""
    libraries = partial(seconds, "-c", "import os, torch, lightning; os._exit(0)")
    return [Comparison("first step less import torch, lightning", "s", first_step, libraries, "<= 2", figure=sub)]


def first_step() -> float:
    """Seconds of `dgmrun model=rbm train` until its first step is done."""
    with TemporaryDirectory() as folder:
        return seconds("-m", "benchmarks._first_step", "model=rbm", "train", f"hydra.run.dir={folder}")


def seconds(*arguments: str) -> float:
    """What a Python process takes."""
    start = perf_counter()
    subprocess.run([sys.executable, *arguments], check=True)
    return perf_counter() - start
