"""States of optimisers and schedules: those of a training are taken back, and none that would raise in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Adadelta, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, OneCycleLR

from dgmrun.stages.train import moving

SCHEDULES: dict[str, Callable[[Optimizer], LRScheduler]] = {
    "linear": partial(LinearLR, start_factor=1.0, end_factor=0.0, total_iters=6),
    "cosine": partial(CosineAnnealingLR, T_max=6),
    "steps": partial(MultiStepLR, milestones=[2, 4]),
    "cycle": partial(OneCycleLR, max_lr=0.1, total_steps=9),
}
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "adam": partial(Adam, lr=0.1, fused=True),
    "adadelta": Adadelta,
}
PAIRS = [pair for pair in itertools.product(OPTIMIZERS, SCHEDULES) if pair != ("adadelta", "cycle")]
"""A cycle wants a momentum."""


def made(optimizer: str, schedule: str) -> tuple[list[nn.Parameter], Optimizer, LRScheduler]:
    """Two parameters, and what moves them."""
    parameters = [nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(2))]
    moves = OPTIMIZERS[optimizer]([{"params": parameters[:1]}, {"params": parameters[1:], "weight_decay": 0.0}])
    return parameters, moves, SCHEDULES[schedule](moves)


def goes(parameters: list[nn.Parameter], optimizer: Optimizer, schedule: LRScheduler, steps: int) -> None:
    for _ in range(steps):
        sum(part.square().sum() for part in parameters).backward()  # type: ignore[union-attr]
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()


@pytest.mark.parametrize("steps", [0, 1, 3, 7])
@pytest.mark.parametrize(("optimizer", "schedule"), PAIRS)
def test_a_state_is_taken_back_at_any_step(optimizer: str, schedule: str, steps: int) -> None:
    whole, cut = made(optimizer, schedule), made(optimizer, schedule)
    goes(*whole, steps)
    for part, other in zip(cut[0], whole[0], strict=True):
        part.data.copy_(other.data)
    moving.restore(cut[1:], deepcopy([each.state_dict() for each in whole[1:]]))
    for each in (whole, cut):
        goes(*each, 1)
    assert all(torch.equal(*pair) for pair in zip(whole[0], cut[0], strict=True))


Change = Callable[[dict[str, Any], dict[str, Any]], Any]
CHANGES: dict[str, Change] = {
    "no state": lambda optimizer, schedule: optimizer.pop("state"),
    "other groups": lambda optimizer, schedule: optimizer["param_groups"].pop(),
    "word as rate": lambda optimizer, schedule: optimizer["param_groups"][0].update(lr="fast"),
    "rate that is not finite": lambda optimizer, schedule: optimizer["param_groups"][0].update(lr=math.nan),
    "share above 1": lambda optimizer, schedule: optimizer["param_groups"][0].update(betas=(5.0, 5.0)),
    "flag as another": lambda optimizer, schedule: optimizer["param_groups"][0].update(capturable=True),
    "parameter of no optimizer": lambda optimizer, schedule: optimizer["param_groups"][0].update(params=[7]),
    "no moment": lambda optimizer, schedule: optimizer["state"][0].pop("exp_avg"),
    "moment of other shape": lambda optimizer, schedule: optimizer["state"][0].update(exp_avg=torch.zeros(7)),
    "endless moment": lambda optimizer, schedule: optimizer["state"][0].update(exp_avg=torch.zeros(1).expand(2**40)),
    "moment not finite": lambda optimizer, schedule: optimizer["state"][0]["exp_avg"].fill_(math.inf),
    "word as moment": lambda optimizer, schedule: optimizer["state"][0].update(exp_avg="x"),
    "moment of nothing": lambda optimizer, schedule: optimizer["state"].update({9: {}}),
    "step before the first": lambda optimizer, schedule: optimizer["state"][0].update(step=torch.tensor(-1.0)),
    "no horizon": lambda optimizer, schedule: schedule.update(total_iters=0),
    "no start": lambda optimizer, schedule: schedule.update(start_factor=0.0),
    "negative epoch": lambda optimizer, schedule: schedule.update(last_epoch=-3),
    "endless epoch": lambda optimizer, schedule: schedule.update(last_epoch=10**400),
    "word as rates": lambda optimizer, schedule: schedule.update(base_lrs="xy"),
    "method": lambda optimizer, schedule: schedule.update(step=1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_state_that_no_training_has_is_refused(name: str) -> None:
    _, *fresh = made("adam", "linear")
    parameters, *moves = made("adam", "linear")
    goes(parameters, *moves, 2)  # type: ignore[arg-type]
    states = [each.state_dict() for each in moves]
    moving.restore(fresh, deepcopy(states))
    CHANGES[name](*states)
    with pytest.raises(ValueError, match="its "):
        moving.restore(made("adam", "linear")[1:], states)


def test_states_of_others_are_refused() -> None:
    _, optimizer, _ = made("sgd", "linear")
    for states in ([], ["x"], [optimizer.state_dict()] * 2):
        with pytest.raises(ValueError, match="its "):
            moving.restore([optimizer], states)
