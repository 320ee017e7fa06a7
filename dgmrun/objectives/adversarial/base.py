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
from dgmrun.objectives.base import NonFiniteError, Objective, Optimization, first_non_finite, frozen
from dgmrun.protocols.models import ImplicitModel
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch

DECAY = 0.99
"""Of the running moments that collapse is told by, from batch to batch."""


ALIKE = 0.05
"""Samples whose spread is below this share of the data's are all alike."""


ENOUGH = 0.1
"""Weight of the batches seen, 1 of infinitely many, from which on they tell."""


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

    def __init__(self, model: nn.Module, optimization: Optimization, critic: Critic, k: int) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        event: Any = model.event
        self.k, self.noise, self.rate, self.critic = k, critic.noise, critic.rate, critic.net(event.shape)
        self.moments = torch.zeros(4)
        """Running sums of the critic's loss, of the spread of samples and of examples, and of 1: rank state."""

    def source(self, data: Source) -> Source:
        """The data; running moments go where the model is."""
        self.moments = self.moments.to(next(self.model.parameters()))
        return data

    @abstractmethod
    def payoff(self, f_x: Tensor, f_sample: Tensor) -> tuple[Tensor, Tensor]:
        """What the critic is paid for each example and each sample, [batch] both, by its outputs for them."""

    @abstractmethod
    def generator_loss(self, f_sample: Tensor) -> Tensor:
        """What the generator descends, of the critic's outputs for its samples, a scalar."""

    @abstractmethod
    def divergence(self, payoff: Tensor) -> Tensor:
        """What the critic's mean payoff says of the distance between data and model; linear, but for a constant."""

    def critic_loss(self, x: Tensor, sample: Tensor) -> Tensor:
        """What the critic descends, a scalar."""
        of_x, of_sample = self.payoff(self.f(x), self.f(sample))
        return -of_x.mean() - of_sample.mean()

    def f(self, x: Tensor) -> Tensor:
        """The critic's output for each of `x`, [batch]."""
        output: Tensor = self.critic(x)
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
        with frozen(self.critic):
            (slope,) = torch.autograd.grad(self.generator_loss(self.f(x)) * len(x), x)
        return -slope

    @torch.no_grad()
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The divergence of the data from as many samples as the critic sees it, without a gradient.

        It is no figure to stop by: a critic that knows little sees none. Samples are of the model as it is trained.
        """
        parts = self.payoff(self.f(self.seen(batch.x)), self.f(self.seen(self.generated(len(batch.x)))))
        error = torch.stack([part.var() / len(part) for part in parts]).sum().sqrt()
        value = self.divergence(torch.stack([part.mean() for part in parts]).sum())
        return value, {"standard_error": self.divergence(error) - self.divergence(torch.zeros_like(error))}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """A batch for the critic and, where it is its turn, for the generator; after `accumulate` of them a step."""
        is_turn = self.iteration // self.optimization.accumulate % self.k == self.k - 1
        is_step = (self.iteration + 1) % self.optimization.accumulate == 0
        with torch.no_grad():
            sample = self.generated(len(batch.x))
        loss = self.critic_loss(self.seen(batch.x), self.seen(sample))
        terms = {"critic_loss": self._descend(loss, 1, batch)}
        terms["critic_gradient"] = self._norm(1)
        if is_step:
            self.step(1)
        self._observe(terms["critic_loss"], sample, batch.x)
        if is_turn:
            with frozen(self.critic):
                loss = self.generator_loss(self.f(self.seen(self.generated(len(batch.x)))))
            terms["generator_loss"] = self._descend(loss, 0, batch)
            terms["generator_gradient"] = self._norm(0)
            if is_step:
                self.step(0)
        elif is_step:
            self.age(0)
        self.iteration += 1
        return {"loss": terms["critic_loss"], **terms}

    def _descend(self, loss: Tensor, player: int, batch: Batch) -> Tensor:
        """Leaves the gradient of a player's loss in its parameters."""
        if not torch.isfinite(loss):
            raise NonFiniteError(first_non_finite({"x": batch.x, **dict(self.named_parameters())}) or "loss", batch)
        total = loss / self.optimization.accumulate
        if self.trainer.world_size > 1:  # every process waits for the gradient of every parameter
            total = total + 0 * sum(part.sum() for part in self._players()[1 - player])
        self.manual_backward(total)
        return loss.detach()

    def _norm(self, player: int) -> Tensor:
        return torch.nn.utils.get_total_norm([part.grad for part in self._players()[player] if part.grad is not None])

    def _players(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """What is trained of the generator, and of the critic."""
        of_model = [part for part in self.model.parameters() if part.requires_grad]
        return of_model, self.own_parameters()

    def configure_optimizers(self) -> Any:
        """One for the generator, one for the critic."""
        generator, critic = self._players()
        return self.optimizer_of(generator), self.optimizer_of(critic, self.rate)

    @torch.no_grad()
    def _observe(self, loss: Tensor, sample: Tensor, x: Tensor) -> None:
        if len(x) > 1:
            now = torch.stack((loss, sample.std(0).mean(), x.std(0).mean(), torch.ones_like(loss)))
            self.moments.lerp_(now.to(self.moments), 1 - DECAY)

    @property
    def usual(self) -> list[float]:
        """The critic's loss, and the spread of samples and of examples, of late; empty before enough was seen."""
        *sums, weight = self.moments.tolist()
        return [each / weight for each in sums] if weight >= ENOUGH else []

    def doubts(self) -> list[str]:
        """Whether the generator was never moved, or the samples are all alike."""
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

    def rank_state(self) -> dict[str, Any]:
        """The running moments of this process."""
        return {"moments": self.moments}

    def load_rank_state(self, state: dict[str, Any]) -> None:
        """Takes them back.

        Raises:
            ValueError: they are not such as these.
        """
        if state["moments"].shape != self.moments.shape or not torch.isfinite(state["moments"]).all():
            raise ValueError(f"its moments must be {len(self.moments)} finite numbers, but are not")
        self.moments.copy_(state["moments"])
