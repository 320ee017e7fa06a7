"""Two processes beside one with as many threads: what sharing a batch out costs, in gradients that are averaged."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._compare import Comparison

IWAE = ("model=vae", "objective=iwae", "objective.k=50", "dataset.batch_size=100")


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """IWAE with 50 samples, of Burda et al. (2016), each time a command of its own."""
    steps = 20 if quick else 300
    ours, theirs = (partial(rate, data, steps, device) for device in ("ddp_cpu", "cpu"))
    return [Comparison("IWAE-50 in 2 processes, 1 of as many threads", "examples/s", ours, theirs, ">= 0.95")]


def rate(data: list[str], steps: int, device: str) -> float:
    """Examples per second of a training, its last validation and checkpoint with it."""
    often = [f"trainer.validate_every_n_steps={steps}", f"checkpoint.every_n_steps={steps}"]
    with TemporaryDirectory() as folder:
        argv = [*IWAE, *data, f"trainer.max_steps={steps}", *often, f"device={device}", "train"]
        command = [sys.executable, "-m", "dgmrun", *argv, f"hydra.run.dir={folder}"]
        subprocess.run(command, check=True, capture_output=True)
        results = json.loads(Path(folder, "results.json").read_text())
    return float(results["train"]["examples_per_second"])
