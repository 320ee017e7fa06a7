"""`likelihood`: mean log-probability of a split, in nats per example, with every source of error."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import Any

import numpy
from torch import Tensor

from dgmrun.data.splits import SPLITS
from dgmrun.errors import Mistake, nearest
from dgmrun.estimators.density import log_density, log_likelihood
from dgmrun.protocols import Estimate, LogZMethod
from dgmrun.report import text
from dgmrun.run import Run
from dgmrun.stages._log_z import methods
from dgmrun.stages._other import is_whole
from dgmrun.stages._setup import Setup
from dgmrun.stages.log_z import measure

log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses unknown splits, and methods that do not fit."""
    splits(setup)
    methods(setup, "likelihood")


def splits(setup: Setup) -> list[str]:
    """The splits that `likelihood.split` selects."""
    asked = setup.config["likelihood"]["split"]
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names or [""]:
        if name not in SPLITS:
            raise Mistake(
                f"`likelihood.split` must be among {', '.join(SPLITS)}, but has {name or 'none'}{nearest(name, SPLITS)}"
            )
    return names


def main(run: Run, setup: Setup) -> None:
    """Scores every selected split by every selected method."""
    model = setup.trained_model(run)
    for split in splits(setup):
        log_f = log_density(model, setup.scored(split).to(setup.device))  # type: ignore[arg-type]
        for name, method in methods(setup, "likelihood").items():
            started = time.perf_counter()
            log_z = stored(run, setup, name, method)
            _record(run, split, name, log_f, log_z, started)


def stored(run: Run, setup: Setup, name: str, method: LogZMethod) -> Estimate:
    """The run's log Z by a method, of its weights as they are; estimated first where there is none."""
    entry: dict[str, Any] | None = run.results.get("log_z", {}).get(name)
    if entry is None or not _is_current(entry, run, method):
        entry = measure(run, setup, name, method)
    return Estimate.from_dict(entry)


def _is_current(entry: dict[str, Any], run: Run, method: LogZMethod) -> bool:
    """Whether a stored log Z is of the present weights, by the present settings."""
    settings = dataclasses.asdict(method)  # type: ignore[call-overload]
    of_these = is_whole(entry) and entry["of"].get("weights_sha256") == run.weights_sha256()
    return of_these and settings.items() <= entry["settings"].items()


def _record(run: Run, split: str, name: str, log_f: Tensor, log_z: Estimate, started: float) -> None:
    estimate = log_likelihood(log_f, log_z)
    label = name if split == "test" else f"{name}@{split}"
    log_prob = (log_f - log_z.value).cpu().numpy()
    run.write_arrays(f"per_example/{split}-{name}.npz", log_prob=log_prob, index=numpy.arange(len(log_prob)))
    entry = estimate.to_dict() | {
        "split": split,
        "examples": len(log_prob),
        "of": run.identity(),
        "seconds": time.perf_counter() - started,
    }
    run.record("likelihood", label, entry)
    log.info(text.estimate("likelihood", label, entry))
