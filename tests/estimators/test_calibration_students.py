"""How often the intervals of log Z hold the exact value, for RBMs trained on digits and NADEs that learned from them.

`pytest -m slow -s tests/estimators/test_calibration_students.py` prints the table of RESULTS.md: 50 teachers with 3 to
20 hidden units, a student each, trained for 100 to 1,500 steps, and 10 repetitions of each method with fresh draws.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from dgmrun.data.source import InMemorySource
from dgmrun.datasets.digits import load
from dgmrun.estimators import enumeration
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.estimators.log_z.bridge import Bridge
from dgmrun.estimators.log_z.importance import Importance
from dgmrun.estimators.log_z.reverse_ais import ReverseAIS
from dgmrun.estimators.proposal import Proposal
from dgmrun.models.nade import NADE
from dgmrun.models.rbm import RBM
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.contrastive.pcd import PCD
from dgmrun.objectives.distillation.distill_kl import DistillKL
from dgmrun.objectives.distillation.stream import StreamSettings
from dgmrun.objectives.distillation.teacher import Teacher
from dgmrun.protocols.values import Estimate, Event

EVENT = Event((1, 8, 8), "binary")
SETTINGS = {"num_samples": 10_000, "num_chains": 1000, "burn_in": 200, "thin": 10}
METHODS: dict[str, Any] = {
    "importance": Importance(**SETTINGS),
    "bridge": Bridge(**SETTINGS),
    "ais": AIS(num_chains=100, num_temperatures=1000),
    "reverse_ais": ReverseAIS(num_chains=100, num_temperatures=1000),
}


class Outcome(NamedTuple):
    """One estimate: is it warned of, is there an interval and does it cover, is the truth within one standard error."""

    warned: bool
    covers: bool | None
    near: bool


@pytest.fixture(scope="module")
def x() -> Tensor:
    """Digits."""
    return load(None)["train"].x.float()  # type: ignore[arg-type]


def train(objective: Objective, x: Tensor, steps: int) -> None:
    """Plain steps of the optimiser, without Lightning."""
    source = objective.prepare(InMemorySource(x, None, 100, 0))
    optimizer: Any = objective.configure_optimizers()
    for batch in islice(chain.from_iterable(repeat(source)), steps):
        optimizer.zero_grad()
        objective.loss(batch)[0].backward()
        optimizer.step()


def teacher(x: Tensor, hidden: int) -> RBM:
    rbm = RBM(EVENT, hidden)
    rbm.initialise(x)
    train(PCD(rbm, Optimization(partial(torch.optim.SGD, lr=0.05))), x, 6000)
    return rbm.requires_grad_(False)


def student(rbm: RBM, x: Tensor, steps: int) -> NADE:
    nade = NADE(EVENT, 50)
    nade.initialise(x)
    stream = StreamSettings(num_chains=500, burn_in=200)
    train(DistillKL(nade, Optimization(partial(torch.optim.Adam, lr=0.01)), Teacher(rbm, None), stream), x, steps)
    return nade.requires_grad_(False)


def outcome(estimate: Estimate, truth: float) -> Outcome:
    low, high = estimate.interval or (None, None)
    covers = None if low is None or high is None else low <= truth <= high
    near = abs(estimate.value - truth) <= (estimate.standard_error or 0.0)
    return Outcome(bool(estimate.warnings), covers, near)


def row(outcomes: list[Outcome]) -> tuple[float, float, float]:
    """Shares: warned of; of the others, within one standard error, and covered."""
    trusted = [one for one in outcomes if not one.warned]
    shares = (sum(getattr(one, key) or False for one in trusted) / len(trusted) for key in ("near", "covers"))
    return 1 - len(trusted) / len(outcomes), *shares


@pytest.mark.slow
def test_calibration_on_50_teachers(x: Tensor) -> None:
    torch.manual_seed(0)
    found: dict[str, list[Outcome]] = defaultdict(list)
    for number in range(50):
        rbm = teacher(x, 3 + number % 18)
        nade = student(rbm, x, round(100 * 15 ** float(torch.rand(()))))
        truth = float(enumeration.log_masses(rbm).logsumexp(0))
        for repetition in range(10):
            proposal = Proposal(nade, rbm, x, repetition)
            for name, method in METHODS.items():
                found[name].append(outcome(method(rbm, x, proposal), truth))
    for name, outcomes in found.items():
        warned, near, covers = row(outcomes)
        print(f"\n| {name} | {warned:.1%} | {near:.1%} | {covers:.2%} |", end="")
        assert covers >= 0.99
        assert abs(near - 0.683) < 4 * math.sqrt(0.683 * 0.317 / 50)  # as if the repetitions on a teacher were one


def test_a_student_of_ten_steps_is_warned_of(x: Tensor) -> None:
    torch.manual_seed(1)
    rbm = teacher(x, 15)
    nade, truth = student(rbm, x, 10), float(enumeration.log_masses(rbm).logsumexp(0))
    proposal = Proposal(nade, rbm, x, 0)
    for name in ("importance", "bridge"):
        estimate = METHODS[name](rbm, x, proposal)
        assert estimate.warnings
        assert math.isfinite(estimate.value)
    assert outcome(METHODS["ais"](rbm, x), truth).covers
