"""Measurement of one gradient estimator: moments of its gradients, their time and, where it is known, their bias."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dgmrun.errors import RunFailed
from dgmrun.gradients.moments import Moments
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch, Estimate, half_width
from dgmrun.run.figures import Figure, Identity
from dgmrun.stages.gradients.recorded import side_by_side
from dgmrun.workbench.setup import Setup

if TYPE_CHECKING:
    from dgmrun.objectives.base import Objective

log = logging.getLogger("dgmrun")


def batch_of(source: Source, place: int) -> Batch:
    """Returns the first batch of the epoch `place`: batches of different epochs are independent."""
    source.load_state_dict({"epoch": place, "position": 0})
    return next(iter(source))


def gradient(name: str, model: nn.Module, loss: Tensor) -> Tensor:
    """Returns the gradient of a loss with this name in the parameters of a model, [parameters].

    Raises:
        RunFailed: it is not finite.
    """
    return _finite(name, slope(model, loss))


def slope(model: nn.Module, loss: Tensor) -> Tensor:
    """Returns the gradient of a loss in the parameters of a model, [parameters], finite or not."""
    parameters = [part for part in model.parameters() if part.requires_grad]
    parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def _finite(name: str, g: Tensor) -> Tensor:
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
        self.seconds, self.alone, self.examples = 0.0, list[float](), 0
        self.together: Callable[..., Tensor] | None = None

    def learn(self, source: Source, steps: int) -> None:
        """Trains the objective's own parameters, with the parameters of the model fixed."""
        self.objective.to(next(self.objective.model.parameters()).device).prepare(source)
        own = self.objective.own_parameters()
        optimizer = self.objective.optimization.optimizer([{"params": own}]) if own else None
        for place in tracked(range(steps if own or self.objective.rank_state else 0)):
            loss, _ = self.objective.loss(batch_of(source, place))
            if optimizer is not None:
                for part, g in zip(own, torch.autograd.grad(loss, own), strict=True):
                    part.grad = g
                optimizer.step()
        self._gradient(batch_of(source, steps))  # warm-up: the first gradient takes longer

    def _gradient(self, batch: Batch) -> Tensor:
        return gradient(self.name, self.objective.model, self.objective.loss(batch)[0])

    def add(self, batch: Batch, truth: Tensor | None = None) -> None:
        """Adds the gradient estimate of one batch; `truth` is what it is an estimate of, if known."""
        self.examples = len(batch.x)
        started = time.perf_counter()
        g = self._gradient(batch)
        self.alone.append(time.perf_counter() - started)
        self.seconds += self.alone[-1]
        self._add(g, truth)

    def _add(self, g: Tensor, truth: Tensor | None) -> None:
        self.gradients.add(g)
        if truth is not None:
            self.errors.add(g - truth)
            self.truths.add(truth)

    def record(self, batch: Batch) -> None:
        """Makes `add_all` compute side by side, if the operations of the objective allow it."""
        state = self.objective.rank_state

        def compute(parts: Sequence[Tensor], moving: dict[str, Tensor]) -> Tensor:
            kept = dict(state)
            state.update(moving)
            try:
                return slope(self.objective.model, self.objective.loss(Batch(*parts))[0])
            finally:
                state.update(kept)

        try:
            together = side_by_side(compute, _parts(batch), {name: part.clone() for name, part in state.items()})
            self._together(together, [batch, batch])
        except RuntimeError as error:
            log.info("gradients   %s one after another: %s", self.name, str(error).partition("\n")[0])
        else:
            self.together = together

    def _together(self, together: Callable[..., Tensor], batches: Sequence[Batch]) -> Tensor:
        """Returns the gradient of each batch, [batches, parameters], each from the state that there is."""
        num, state = len(batches), self.objective.rank_state
        moving = {name: part.expand(num, *part.shape).clone() for name, part in state.items()}
        return together([torch.stack(parts) for parts in zip(*map(_parts, batches), strict=True)], moving)

    def add_all(self, batches: Sequence[Batch], truths: Sequence[Tensor | None]) -> None:
        """Adds the gradient estimates of several batches, side by side if recorded: `milliseconds` are of others."""
        if self.together is None or len(batches) == 1:
            for batch, truth in zip(batches, truths, strict=True):
                self.add(batch, truth)
            return
        started = time.perf_counter()
        every = _finite(self.name, self._together(self.together, batches))
        self.seconds += time.perf_counter() - started
        for g, truth in zip(every, truths, strict=True):
            self._add(g, truth)

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
                "milliseconds": 1000 * mean(self.alone),
                "bias": self.errors.length() / length if length else None,
                "bias_by_chance": self.errors.noise() / length if length else None,
            },
        )
        given = setup.config["given"]
        return Figure.made(found, of=of, split="train", examples=self.examples, given=given, seconds=self.seconds)


def _parts(batch: Batch) -> list[Tensor]:
    """Returns the tensors of a batch."""
    return [part for part in batch if part is not None]
