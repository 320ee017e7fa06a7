"""`log_z`: the log partition function by every method that fits, each with its interval, and where they disagree."""

from __future__ import annotations

import itertools
import logging
import time
from typing import Any

from dgmrun.protocols import LogZMethod
from dgmrun.report import text
from dgmrun.rng import seeded
from dgmrun.run import Run
from dgmrun.stages._log_z import methods
from dgmrun.stages._setup import Setup

log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses models that have a normalised density, and methods that do not fit."""
    methods(setup)


def main(run: Run, setup: Setup) -> None:
    """Estimates log Z by every selected method and records it."""
    entries = {name: measure(run, setup, name, method) for name, method in methods(setup).items()}
    for message in disagreements(entries):
        log.warning("warning: %s", message)


def measure(run: Run, setup: Setup, name: str, method: LogZMethod) -> dict[str, Any]:
    """log Z of the run's model by one method, recorded and shown."""
    model = setup.trained_model(run)
    started = time.perf_counter()
    with seeded(setup.config["seed"], "log_z", name):
        estimate = method(model, setup.base_logits)
    entry = estimate.to_dict() | {"of": run.identity(), "seconds": time.perf_counter() - started}
    run.record("log_z", name, entry)
    log.info(text.estimate("log_z", name, entry))
    return entry


def disagreements(entries: dict[str, dict[str, Any]]) -> list[str]:
    """In words, each pair of methods whose 99.7 % intervals do not meet."""
    return [
        f"`log_z.{one}` and `log_z.{other}` disagree beyond their intervals: at least one did not converge, "
        "raise num_temperatures"
        for (one, a), (other, b) in itertools.combinations(entries.items(), 2)
        if not _meet(a["interval"], b["interval"])
    ]


def _meet(a: tuple[float | None, float | None] | None, b: tuple[float | None, float | None] | None) -> bool:
    if a is None or b is None:
        return True
    return not (_below(a[1], b[0]) or _below(b[1], a[0]))


def _below(high: float | None, low: float | None) -> bool:
    return high is not None and low is not None and high < low - 1e-6
