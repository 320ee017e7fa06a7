"""Measurement of one gradient estimator: moments of its gradients, their time and, where it is known, their bias."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dgmrun.errors import RunFailed
from dgmrun.gradients.moments import Moments
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch, Estimate, half_width
from dgmrun.run.figures import Figure, Identity
from dgmrun.workbench.setup import Setup

if TYPE_CHECKING:
    from dgmrun.objectives.base import Objective


def batch_of(source: Source, place: int) -> Batch:
    """Returns the first batch of the epoch `place`: batches of different epochs are independent."""
    source.load_state_dict({"epoch": place, "position": 0})
    return next(iter(source))


def gradient(name: str, model: nn.Module, loss: Tensor) -> Tensor:
    """Returns the gradient of a loss with this name in the parameters of a model, [parameters].

    Raises:
        RunFailed: it is not finite.
    """
    parameters = [part for part in model.parameters() if part.requires_grad]
    parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    g = torch.cat([part.flatten() for part in parts])
    if not torch.isfinite(g).all():
        raise RunFailed(f"the gradient of {name} must be finite, but is not", "lower gradients.lr")
    return g


class Measured:
    """Measurements of one gradient estimator.

    Args:
        name: name of the estimator.
        objective: the objective that defines it.
        settings: what its figure is to say of it.
    """

    def __init__(self, name: str, objective: Objective, settings: dict[str, Any]) -> None:
        self.name, self.objective, self.settings = name, objective, settings
        self.gradients, self.errors, self.truths = Moments(), Moments(), Moments()
        self.seconds, self.examples = 0.0, 0

    def learn(self, source: Source, steps: int) -> None:
        """Trains the objective's own parameters, with the parameters of the model fixed."""
        self.objective.to(next(self.objective.model.parameters()).device).prepare(source)
        own = self.objective.own_parameters()
        optimizer = self.objective.optimization.optimizer([{"params": own}]) if own else None
        for place in tracked(range(steps if own or self.objective.rank_state else 0)):
            loss, _ = self.objective.loss(batch_of(source, place))
            if optimizer is not None:
                for part, slope in zip(own, torch.autograd.grad(loss, own), strict=True):
                    part.grad = slope
                optimizer.step()
        self._gradient(batch_of(source, steps))  # warm-up: the first gradient takes longer

    def _gradient(self, batch: Batch) -> Tensor:
        return gradient(self.name, self.objective.model, self.objective.loss(batch)[0])

    def add(self, batch: Batch, truth: Tensor | None = None) -> None:
        """Adds the gradient estimate of one batch; `truth` is what it is an estimate of, if known."""
        self.examples = len(batch.x)
        started = time.perf_counter()
        g = self._gradient(batch)
        self.seconds += time.perf_counter() - started
        self.gradients.add(g)
        if truth is not None:
            self.errors.add(g - truth)
            self.truths.add(truth)

    def figure(self, setup: Setup, of: Identity) -> Figure:
        """Returns the figure: the log of the variance averaged over parameters, with diagnostics."""
        variance, error = self.gradients.variance()
        if variance == 0:
            raise RunFailed(
                f"gradients of {self.name} must differ, but are all the same: examples are all the same, or the model "
                "is saturated"
            )
        value, standard_error = math.log(variance), error / variance
        half = half_width(standard_error, len(self.gradients.halves))
        num = self.gradients.num
        length = self.truths.length() if self.truths.num else 0.0
        found = Estimate(
            "log_variance",
            value=value,
            standard_error=standard_error,
            interval=(value - half, value + half),
            kind="estimate",
            bias="down",
            samples=num,
            settings={**self.settings, **setup.config["gradients"]},
            diagnostics={
                "signal_to_noise": self.gradients.signal_to_noise(),
                "milliseconds": 1000 * self.seconds / num,
                "bias": self.errors.length() / length if length else None,
                "bias_by_chance": self.errors.noise() / length if length else None,
            },
        )
        given = setup.config["given"]
        return Figure.made(found, of=of, split="train", examples=self.examples, given=given, seconds=self.seconds)
