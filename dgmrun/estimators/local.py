"""Posteriors of their own for single examples, fitted by optimisation: what a net has not learnt to give them.

References:
    Cremer, Li and Duvenaud (2018), Inference suboptimality in variational autoencoders,
    https://arxiv.org/abs/1801.03558, section 3: the gap between such a posterior's bound and a net's is amortisation's.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LinearLR

from dgmrun.latent.bounds import elbo
from dgmrun.latent.draws import reparameterised
from dgmrun.protocols.models import Inference, Reparameterised
from dgmrun.protocols.values import Batch

STEPS = 200
"""For a model that has no posterior of its own."""
LEARNING_RATE, SAMPLES = 0.05, 8


def local(model: Any, batch: Batch, steps: int | None) -> Float[Tensor, "batch parameters"] | None:
    """The posterior of each example after so many steps up its ELBO from the model's guess; None is the model's own.

    Args:
        model: whose parameters stay as they are.
        batch: examples.
        steps: of Adam, whose rate falls to 0; None for 0, or for STEPS where the model has no posterior of its own, and
            0 leaves that of the prior.
    """
    any_model = model
    if not isinstance(model, Reparameterised):
        return None
    if steps is None:
        steps = STEPS if model.is_local else 0
    if not steps:
        return model.guess(batch.x, batch.context) if model.is_local else None
    parameters = model.guess(batch.x, batch.context).detach().clone()
    with torch.enable_grad():
        optimizer = Adam([parameters.requires_grad_()], lr=LEARNING_RATE)
        schedule = LinearLR(optimizer, 1.0, 0.0, steps)
        for _ in range(steps):
            optimizer.zero_grad()
            bound = elbo(any_model.trace(batch.x, reparameterised(SAMPLES), batch.context, parameters))
            (-bound.mean(0).sum()).backward(inputs=[parameters])
            optimizer.step()
            schedule.step()
    return parameters.detach()


def check_model(method: str, steps: int | None, model: Inference) -> None:
    """Refuses steps where nothing can be fitted.

    Raises:
        ValueError: names the key.
    """
    if steps is not None and not isinstance(model, Reparameterised):
        raise ValueError(f"`likelihood.{method}.local_steps` must be null for binary latent units, but is {steps}")


def check_steps(method: str, steps: int | None) -> None:
    """Refuses what is no number of steps.

    Raises:
        ValueError: names the key.
    """
    if steps is not None and (type(steps) is not int or steps < 0):
        raise ValueError(f"`likelihood.{method}.local_steps` must be a whole number or null, but is {steps}")
