"""Objectives of latent variable models given contexts: every network is told them, and learns from them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import yaml
from torch.optim import Adam

from dgmrun.models import SBN, VAE
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.paths import options
from dgmrun.protocols.values import Batch, Event
from dgmrun.rng import seeded
from dgmrun.workbench import build
from tests.contracts.pairs import pairs

EVENT = Event((4,), "binary")
TOLD = {"class": Event((), "categorical", 3), "caption": Event((3,), "tokens", 4)}
CONTEXTS = {"class": torch.tensor([0, 2, 1]), "caption": torch.tensor([[1, 2, 0], [2, 1, 0], [0, 0, 0]])}
MODELS = {
    "sbn": partial(SBN, EVENT, hidden=[3, 2], prior="nade", width=4),
    "vae": partial(VAE, EVENT, latent=[3, 2], hidden=[4, 4]),
}


def of_bounds() -> list[tuple[str, str]]:
    """Both models with each of their objectives."""
    targets = {name: build.target(yaml.safe_load(file.read_text())) for name, file in options("objective").items()}
    return [pair for pair in pairs() if pair[0] in MODELS and issubclass(targets[pair[1]], Variational)]


def loss_of(model: str, objective: str, told: Event, contexts: torch.Tensor) -> tuple[Objective, torch.Tensor]:
    """An objective of a new model, and its loss on 24 examples of three kinds with these contexts."""
    node: dict[str, Any] = yaml.safe_load(options("objective")[objective].read_text())
    with seeded(0, "told", model, objective):
        its = MODELS[model](context=told)
        made = build.maker("objective", node)(model=its, optimization=Optimization(partial(Adam, lr=1e-3)))
        assert isinstance(made, Objective)
        each = torch.arange(24) % 3
        loss, _ = made.loss(Batch(torch.eye(4)[each], torch.arange(24), contexts[each]))
    return made, loss


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize(("model", "objective"), of_bounds())
def test_every_parameter_learns_from_what_is_given(model: str, objective: str, told: str) -> None:
    made, loss = loss_of(model, objective, TOLD[told], CONTEXTS[told])
    loss.backward()
    assert all(part.grad is not None and part.grad.any() for part in made.model.parameters())
    words = [part.grad for name, part in made.model.named_parameters() if name.startswith("vector.")]
    assert len(words) == (5 if told == "caption" else 0)
    assert all((part != 0).any() for part in words if part is not None)
    _, other = loss_of(model, objective, TOLD[told], CONTEXTS[told].roll(1, 0))
    assert loss.item() != other.item()
