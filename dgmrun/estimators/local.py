"""Local posteriors, fitted to single examples by optimisation, which close the amortisation gap of an encoder.

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
"""Default number of steps for a model without an amortised posterior."""
LEARNING_RATE, SAMPLES = 0.05, 8


def local(model: Any, batch: Batch, steps: int | None) -> Float[Tensor, "batch parameters"] | None:
    """Fits the posterior of each example by gradient ascent on its ELBO, from the model's guess.

    Returns the parameters of the posteriors, or None if the model's own posterior is to be used.

    Args:
        model: the model, whose parameters are not changed.
        batch: examples.
        steps: number of steps of Adam, whose learning rate decays linearly to 0. None means STEPS if the model has no
            amortised posterior, else 0; with 0, such a model keeps its initial guess.
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
    """Checks that the model has a posterior that can be fitted, if `steps` are given.

    Raises:
        ValueError: it has not; the message names the key.
    """
    if steps is not None and not isinstance(model, Reparameterised):
        raise ValueError(f"`likelihood.{method}.local_steps` must be null for binary latent units, but is {steps}")


def check_steps(method: str, steps: int | None) -> None:
    """Checks that `steps` is None or a number of steps.

    Raises:
        ValueError: it is not; the message names the key.
    """
    if steps is not None and (type(steps) is not int or steps < 0):
        raise ValueError(f"`likelihood.{method}.local_steps` must be a whole number or null, but is {steps}")
