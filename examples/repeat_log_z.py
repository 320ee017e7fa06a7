"""How far importance and bridge sampling through a student scatter: `python examples/repeat_log_z.py STUDENT LOG_Z`.

Repeats both with fresh draws and prints their root mean square error about LOG_Z, which is known from elsewhere.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser

import torch

from dgmrun.estimators.log_z.bridge import Bridge
from dgmrun.estimators.log_z.importance import Importance
from dgmrun.estimators.proposal import Proposal
from dgmrun.run.directory import Run
from dgmrun.workbench.selection import subject
from dgmrun.workbench.setup import Setup

SETTINGS = {"num_samples": 2000, "num_chains": 200, "burn_in": 500, "thin": 50}


def main() -> None:
    """Prints a row for each method."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("student", help="a run directory")
    parser.add_argument("log_z", type=float, help="what the estimates are compared with, in nats")
    parser.add_argument("--times", type=int, default=20)
    arguments = parser.parse_args()
    run = Run.open(arguments.student)
    about = subject(run, Setup(run.config, run=run.path))
    assert about.proposal is not None
    q, model, x = about.proposal.model, about.target.model, about.target.setup.training_x
    values: dict[str, list[float]] = {"importance": [], "bridge": []}
    for repetition in range(arguments.times):
        proposal = Proposal(q, model, x, seed=1000 + repetition)
        for method in (Importance(**SETTINGS), Bridge(**SETTINGS)):
            values[method.name].append(method(model, x, proposal).value)
        print(f"{repetition + 1} of {arguments.times}", end="\r", flush=True)
    for name, found in values.items():
        error = torch.tensor(found) - arguments.log_z
        rms = math.sqrt(float(error.square().mean()))
        print(f"{name:10} mean {error.mean() + arguments.log_z:.3f}  deviation {error.std():.3f}  rms error {rms:.3f}")


if __name__ == "__main__":
    main()
