r"""Adversarial training: a generator, which is the model, against a critic, which belongs to the objective.

The critic f learns to distinguish examples from samples; subclasses define its payoff on each. The generator is trained
on the critic's output for its samples. Both are told the contexts of the batch, if there are any.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.players import Player, frozen
from dgmrun.protocols.growth import Growing, Progressive
from dgmrun.protocols.models import ImplicitModel, context_of
from dgmrun.protocols.values import Batch

DECAY = 0.99
"""Decay per batch of the running averages by which mode collapse and a perfect critic are detected."""


ALIKE = 0.05
"""Ratio of standard deviations, samples to data, below which the samples count as identical."""


ENOUGH = 0.1
"""Weight of the running averages (at most 1) from which on they are used."""


def lost(of_x: Tensor, of_sample: Tensor) -> Tensor:
    """Returns minus the mean payoff of the critic for an example and a sample, a scalar."""
    return -of_x.mean() - of_sample.mean()


class Adversarial(Objective, ABC):
    """A game between a critic and the generator: the critic makes a step on each batch, the generator on every k-th.

    Args:
        model: an implicit model.
        optimization: optimiser settings; each player has its own optimiser.
        critic: settings of the critic.
        k: number of critic steps for each generator step.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = ImplicitModel
    stops_by_watched: ClassVar[bool] = False
    """False: a poorly trained critic underestimates the divergence."""
    is_mean: ClassVar[bool] = False

    def __init__(self, model: nn.Module, optimization: Optimization, critic: Critic, k: int) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        event: Any = model.event
        told = context_of(model)
        self.k, self.noise, self.rate, self.critic = k, critic.noise, critic.rate, critic.net(event, told)
        self.is_progressive = isinstance(model, Progressive)
        self.growing = [part for part in (*model.modules(), *self.critic.modules()) if isinstance(part, Growing)]
        self.rank_state["moments"] = torch.zeros(4)
        """Running sums of the critic's loss, of the standard deviations of samples and of examples, and of 1."""

    @abstractmethod
    def payoff(self, f_x: Tensor, f_sample: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the critic's payoff for each example and each sample, [batch] both, from its outputs."""

    @abstractmethod
    def generator_loss(self, f_sample: Tensor) -> Tensor:
        """Returns the loss of the generator, a scalar, from the critic's outputs for its samples."""

    @abstractmethod
    def divergence(self, payoff: Tensor) -> Tensor:
        """Converts the critic's payoff for an example and a sample to an estimate of the divergence of data and model.

        It is affine, so that it may be applied to the mean payoff.
        """

    @abstractmethod
    def critic_loss(self, x: Tensor, sample: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the loss of the critic, a scalar, from its inputs: examples and as many samples of their contexts."""

    def critic_doubts(self) -> list[str]:
        """Returns warnings about the critic. Hook."""
        return []

    def f(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the critic's output for each input, [batch]."""
        output: Tensor = self.critic(x) if context is None else self.critic(x, context)
        return output.squeeze(-1)

    def shown(self, x: Tensor) -> Tensor:
        """Returns examples at the resolution of a model that grows, and as they are for another."""
        model: Any = self.model
        shown: Tensor = model.shown(x) if self.is_progressive else x
        return shown

    def seen(self, x: Tensor) -> Tensor:
        """Returns the critic's input: `x`, with instance noise if there is any."""
        return x + self.noise * torch.randn_like(x) if self.noise else x

    def generated(self, num: int, context: Tensor | None = None) -> Tensor:
        """Returns samples of the model, differentiable in its parameters."""
        model: Any = self.model
        x: Tensor = model.generate(model.noise(num), context)
        return x

    def pull(self, sample: Tensor) -> Tensor:
        """Returns minus the gradient of the generator's loss at each sample, times their number, [num, *event.shape].

        In nats, or outputs of a Wasserstein critic, per unit of x.
        """
        x = sample.detach().requires_grad_()
        with frozen(self.critic.parameters()):
            (slope,) = torch.autograd.grad(self.generator_loss(self.f(x)) * len(x), x)
        return -slope

    @torch.no_grad()
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the mean of `watched` and its standard error; samples and examples are independent."""
        of_x, of_sample = self._payoffs(batch)
        error = torch.stack([part.var() / len(part) for part in (of_x, of_sample)]).sum().sqrt()
        value = self.divergence(torch.stack([part.mean() for part in (of_x, of_sample)]).sum())
        return value, {"standard_error": self.divergence(error) - self.divergence(torch.zeros_like(error))}

    @torch.no_grad()
    def watched(self, batch: Batch) -> Tensor:
        """Returns the divergence estimated from each example paired with a sample, [batch]."""
        of_x, of_sample = self._payoffs(batch)
        return self.divergence(of_x + of_sample)

    def _payoffs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the critic's payoff for each example, and for as many samples of the model."""
        x, _, context = batch
        sample = self.generated(len(x), context)
        return self.payoff(self.f(self.seen(self.shown(x)), context), self.f(self.seen(sample), context))

    def players(self) -> list[Player]:
        """Returns the critic, and the generator, which makes a step after every `k` steps of the critic."""
        generator = [part for part in self.model.parameters() if part.requires_grad]
        return [Player("critic", self.own_parameters(), self.rate), Player("generator", generator, every=self.k)]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Sets the resolution of networks that grow by the number of batches; that of a moving average follows."""
        model: Any = self.model
        for part in self.growing if self.is_progressive else ():
            part.grow(model.resolution_at(self.iteration))

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of the critic or of the generator, each on new samples."""
        x, _, context = batch
        sample = self.generated(len(x), context)
        if name == "generator":
            return self.generator_loss(self.f(self.seen(sample), context)), {}
        x = self.shown(x)
        loss = self.critic_loss(self.seen(x), self.seen(sample), context)
        self._observe(loss.detach(), sample, x)
        return loss, {}

    @torch.no_grad()
    def _observe(self, loss: Tensor, sample: Tensor, x: Tensor) -> None:
        if len(x) > 1:
            now = torch.stack((loss, spread(sample), spread(x), torch.ones_like(loss)))
            moments = self.rank_state["moments"]
            moments.lerp_(now.to(moments), 1 - DECAY)

    @property
    def usual(self) -> list[float]:
        """Running averages of the critic's loss and the standard deviations of samples and examples; empty at first."""
        *sums, weight = self.rank_state["moments"].tolist()
        return [each / weight for each in sums] if weight >= ENOUGH else []

    def doubts(self) -> list[str]:
        """Returns warnings: of a generator untrained or not yet grown, of samples that are alike, and of the critic."""
        return [*self._generator_doubts(), *self._growth_doubts(), *self.critic_doubts()]

    def _growth_doubts(self) -> list[str]:
        model: Any = self.model
        if not self.is_progressive or self.iteration >= (steps := model.steps_to_grow()):
            return []
        return [
            f"samples have a lower resolution than the data, as the model grows for {steps} batches, and "
            f"{self.iteration} were trained on; raise trainer.max_steps or lower model.fade and model.stable"
        ]

    def _generator_doubts(self) -> list[str]:
        if 0 < self.iteration < self.k * self.optimization.accumulate:
            return [
                f"the generator has made no step in {self.iteration} batches, as objective.k = {self.k} of the critic "
                "come first; raise trainer.max_steps or lower objective.k"
            ]
        _, of_samples, of_data = self.usual or (0.0, 1.0, 1.0)
        if of_samples >= ALIKE * of_data:
            return []
        share = 100 * of_samples / of_data
        return [
            f"the samples are all alike: their spread is {share:.1f} % of the data's, the generator has collapsed; "
            "lower objective.critic.rate or optimizer.lr, or raise objective.critic.noise"
        ]


def spread(x: Tensor) -> Tensor:
    """Root of the mean variance of the dimensions of x [batch, ...]; on a CPU `std` of each takes ten times as long."""
    return (x - x.mean(0)).square_().mean().sqrt_()
