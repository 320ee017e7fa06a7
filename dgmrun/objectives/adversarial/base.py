r"""Two players: a generator, which is the model, and a critic, which is the objective's own.

The critic f sees examples and samples and tells them apart by what a subclass pays it for each; the generator is paid
for what the critic takes its samples for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.players import Player, frozen
from dgmrun.protocols.models import ImplicitModel
from dgmrun.protocols.values import Batch

DECAY = 0.99
"""Of the running moments that collapse is told by, from batch to batch."""


ALIKE = 0.05
"""Samples whose spread is below this share of the data's are all alike."""


ENOUGH = 0.1
"""Weight of the batches seen, 1 of infinitely many, from which on they tell."""


def lost(of_x: Tensor, of_sample: Tensor) -> Tensor:
    """Minus the mean payoff of a critic for an example and a sample, a scalar."""
    return -of_x.mean() - of_sample.mean()


class Adversarial(Objective, ABC):
    """A critic and its game. Each batch is for a step of the critic; each k-th of them for one of the generator, too.

    Args:
        model: an implicit model.
        optimization: how parameters follow gradients, those of each player by an optimiser of its own.
        critic: what it is.
        k: steps of the critic to one of the generator.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = ImplicitModel
    stops_by_watched: ClassVar[bool] = False
    """A critic that knows little sees no difference."""

    def __init__(self, model: nn.Module, optimization: Optimization, critic: Critic, k: int) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        event: Any = model.event
        self.k, self.noise, self.rate, self.critic = k, critic.noise, critic.rate, critic.net(event.shape)
        self.rank_state["moments"] = torch.zeros(4)
        """Running sums of the critic's loss, of the spread of samples and of examples, and of 1."""

    @abstractmethod
    def payoff(self, f_x: Tensor, f_sample: Tensor) -> tuple[Tensor, Tensor]:
        """What the critic is paid for each example and each sample, [batch] both, by its outputs for them."""

    @abstractmethod
    def generator_loss(self, f_sample: Tensor) -> Tensor:
        """What the generator descends, of the critic's outputs for its samples, a scalar."""

    @abstractmethod
    def divergence(self, payoff: Tensor) -> Tensor:
        """What the critic's payoff for an example and a sample says of the distance between data and model.

        It is linear, but for a constant, so that it is told by the mean payoff, too.
        """

    @abstractmethod
    def critic_loss(self, x: Tensor, sample: Tensor) -> Tensor:
        """What the critic descends, by what it sees of examples and of as many samples, a scalar."""

    def critic_doubts(self) -> list[str]:
        """A hook: what a user should know of the critic, in words."""
        return []

    def f(self, *seen: Tensor) -> Tensor:
        """The critic's output for each of what it sees, one tensor or several that belong together, [batch]."""
        output: Tensor = self.critic(*seen)
        return output.squeeze(-1)

    def seen(self, x: Tensor) -> Tensor:
        """What the critic sees of `x`."""
        return x + self.noise * torch.randn_like(x) if self.noise else x

    def generated(self, num: int) -> Tensor:
        """Samples of the model, differentiable."""
        model: Any = self.model
        x: Tensor = model.generate(model.noise(num))
        return x

    def pull(self, sample: Tensor) -> Tensor:
        """Minus the derivative of the generator's loss in each of `sample`, times their number, [num, *event.shape].

        In nats, or outputs of a Wasserstein critic, per unit of x.
        """
        x = sample.detach().requires_grad_()
        with frozen(self.critic.parameters()):
            (slope,) = torch.autograd.grad(self.generator_loss(self.f(x)) * len(x), x)
        return -slope

    @torch.no_grad()
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean of what is `watched`, and its standard error; samples and examples are drawn independently."""
        of_x, of_sample = self._payoffs(batch)
        error = torch.stack([part.var() / len(part) for part in (of_x, of_sample)]).sum().sqrt()
        value = self.divergence(torch.stack([part.mean() for part in (of_x, of_sample)]).sum())
        return value, {"standard_error": self.divergence(error) - self.divergence(torch.zeros_like(error))}

    @torch.no_grad()
    def watched(self, batch: Batch) -> Tensor:
        """The divergence of the data from as many samples as the critic sees it, by each example and its sample."""
        of_x, of_sample = self._payoffs(batch)
        return self.divergence(of_x + of_sample)

    def _payoffs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the critic is paid for each example and for as many samples of the model as it is trained."""
        return self.payoff(self.f(self.seen(batch.x)), self.f(self.seen(self.generated(len(batch.x)))))

    def players(self) -> list[Player]:
        """The critic, and after `k` steps of it the generator."""
        generator = [part for part in self.model.parameters() if part.requires_grad]
        return [Player("critic", self.own_parameters(), self.rate), Player("generator", generator, every=self.k)]

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """That of the critic or of the generator, each with samples of its own."""
        sample = self.generated(len(batch.x))
        if name == "generator":
            return self.generator_loss(self.f(self.seen(sample))), {}
        loss = self.critic_loss(self.seen(batch.x), self.seen(sample))
        self._observe(loss.detach(), sample, batch.x)
        return loss, {}

    @torch.no_grad()
    def _observe(self, loss: Tensor, sample: Tensor, x: Tensor) -> None:
        if len(x) > 1:
            now = torch.stack((loss, sample.std(0).mean(), x.std(0).mean(), torch.ones_like(loss)))
            moments = self.rank_state["moments"]
            moments.lerp_(now.to(moments), 1 - DECAY)

    @property
    def usual(self) -> list[float]:
        """The critic's loss, and the spread of samples and of examples, of late; empty before enough was seen."""
        *sums, weight = self.rank_state["moments"].tolist()
        return [each / weight for each in sums] if weight >= ENOUGH else []

    def doubts(self) -> list[str]:
        """Whether the generator was never moved, or the samples are all alike; and what there is of the critic."""
        return [*self._generator_doubts(), *self.critic_doubts()]

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
