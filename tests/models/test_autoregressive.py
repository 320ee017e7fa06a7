"""Autoregressive models of binary data, found by their YAML: normalised, and looking back only, in any order."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from dgmrun.nn.binary import bits
from dgmrun.paths import options
from dgmrun.protocols.values import Event
from dgmrun.workbench import build
from tests.conftest import of_other_data

CLASSES = {name: build.target(yaml.safe_load(file.read_text())["model"]) for name, file in options("model").items()}
AUTOREGRESSIVE = [
    name
    for name, found in CLASSES.items()
    if "order" in inspect.signature(found).parameters and name not in of_other_data()
]
SMALL = {"hidden": {int: 5, list: [5, 4]}, "activation": {str: "tanh"}}


def made(name: str, dims: int, order: Sequence[int]) -> Any:
    """A small model in float64 with weights that matter."""
    settings = yaml.safe_load(options("model")[name].read_text())["model"]
    small = {key: sizes[type(settings[key])] for key, sizes in SMALL.items() if key in settings}
    model = CLASSES[name](event=Event((dims,), "binary"), order=list(order), **small).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def states(dims: int) -> Tensor:
    return bits(torch.arange(2**dims), dims).double()


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_every_order_of_four_sums_to_one(name: str) -> None:
    for order in itertools.permutations(range(4)):
        assert made(name, 4, order).log_prob(states(4)).logsumexp(0).item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_conditionals_depend_on_what_comes_before_alone(name: str) -> None:
    """Of 50 orders of 12 dimensions: row d of `moved` is by how much each conditional moves as x_d is flipped."""
    for _ in range(50):
        order = torch.randperm(12)
        model, x = made(name, 12, order.tolist()), (torch.rand(12) < 0.5).double()
        flipped = (x - torch.eye(12, dtype=torch.float64)).abs()
        moved = (model.means(flipped) - model.means(x.expand(12, -1))).abs()[order][:, order]
        assert (moved.tril() < 1e-12).all()
        assert moved.triu(1).count_nonzero() > 0.9 * 66, "a conditional looks at nothing"


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_the_conditionals_are_those_of_the_density(name: str) -> None:
    """So that what is shown of the means holds for log p: it is the sum of their logarithms."""
    model, x = made(name, 6, [3, 1, 5, 0, 2, 4]), states(6)
    p = model.means(x)
    assert torch.allclose(model.log_prob(x), torch.where(x > 0, p, 1 - p).log().sum(1))
