"""Validation and restoration of the states of optimisers and learning-rate schedules.

Each state is compared with a fresh one, so that states that would raise an error later are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dgmrun.objectives.state import alike

LARGEST = 2**53
"""Integers up to this are exact in double precision."""


def restore(every: Sequence[Any], states: Sequence[Any]) -> None:
    """Restores the states of optimisers or schedules.

    Raises:
        ValueError: the number of states is wrong, or one of them is invalid.
    """
    if len(states) != len(every):
        raise ValueError(f"its states must be of {len(every)} players, but are of {len(states)}")
    for one, state in zip(every, states, strict=True):
        if isinstance(one, Optimizer):
            _check_optimizer(one, state)
        else:
            check(state, one.state_dict(), "schedule")
        one.load_state_dict(state)


def _check_optimizer(optimizer: Optimizer, state: Any) -> None:
    """Compares a state with that of a copy after its first step; parameters without a gradient have no state."""
    tried = _tried(optimizer).state_dict()
    if not isinstance(state, dict) or state.keys() != tried.keys() or not isinstance(state["state"], dict):
        raise ValueError("its optimizer must have a state, but has none")
    for place, of_parameter in state["state"].items():
        check(of_parameter, tried["state"].get(place), f"optimizer's state of parameter {place}")
    groups, own_groups = state["param_groups"], tried["param_groups"]
    check(groups, own_groups, "groups of parameters")
    if any(group["params"] != own["params"] for group, own in zip(groups, own_groups, strict=True)):
        raise ValueError("its groups must be of the parameters of this optimizer, but are of others")


@torch.enable_grad()
def _tried(optimizer: Optimizer) -> Optimizer:
    tried = deepcopy(optimizer)
    for group in tried.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    tried.step()
    return tried


def check(value: Any, fresh: Any, name: str) -> None:
    """Refuses a value that cannot have evolved from a fresh one.

    Raises:
        ValueError: types, keys or lengths differ, or a number is out of range.
    """
    if isinstance(fresh, Tensor):
        if (alike(value, fresh, name) < 0).any() and name.endswith(": step"):
            raise ValueError(f"its {name} must not be negative, but is")
    elif isinstance(fresh, Mapping):
        if type(value) is not type(fresh) or value.keys() != fresh.keys():
            raise ValueError(f"its {name} must have {', '.join(map(str, fresh))}, and nothing else")
        for key in fresh:
            check(value[key], fresh[key], f"{name}: {key}")
    elif isinstance(fresh, (list, tuple)):
        if type(value) is not type(fresh) or len(value) != len(fresh):
            raise ValueError(f"its {name} must be {len(fresh)} values, but is not")
        for one, other in zip(value, fresh, strict=True):
            check(one, other, name)
    elif type(value) is not type(fresh) or (value != fresh and not _follows(value, fresh, name)):
        raise ValueError(f"its {name} must be such as {fresh!r}, but is not")


def _follows(value: Any, fresh: Any, name: str) -> bool:
    """Returns whether a number can have evolved from another one: learning rates, fractions and counts only."""
    if type(value) is int:
        return min(fresh, 1) <= value <= LARGEST
    if type(value) is not float or not math.isfinite(value):
        return False
    return "lr" in name.split(": ")[-1] or (value >= 0 and (value > 0) == (fresh > 0) and (value < 1 or fresh >= 1))
