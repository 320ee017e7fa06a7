r"""Adversarial training: generators, which belong to the model, against critics, which belong to the objective.

A critic f learns to distinguish examples from samples; subclasses define its payoff on each. Its generator is trained
on the critic's output for its samples. Both are told the contexts of the batch, if there are any. A game of the two is
a value, of which most objectives have one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dgmrun.nn.progressive import MinibatchDeviation
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.game import Function, Game
from dgmrun.objectives.adversarial.grown import GROWN
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.players import Player, frozen
from dgmrun.protocols.growth import Growing, Growth, Progressive
from dgmrun.protocols.models import ImplicitModel, context_of
from dgmrun.protocols.staged import of_stage
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
    """Games of a critic against a generator: the critic makes a step on each batch, the generator on every k-th.

    Args:
        model: an implicit model, or one of several stages that are.
        optimization: optimiser settings; each player has its own optimiser.
        critic: settings of the critic, or of each.
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
        self.k, self.noise, self.rate, self.critic = k, critic.noise, critic.rate, self.net(critic)
        self.is_progressive = isinstance(model, Progressive)
        parts = (*model.modules(), *self.critic.modules()) if self.is_progressive else ()
        self.growing = [part for part in parts if isinstance(part, Growing)]
        for game in self.games():
            self.rank_state[game.of("moments")] = torch.zeros(4)
            """Running sums of the critic's loss, of the standard deviations of samples and of examples, and of 1."""
            self.rank_state[game.of("peak")] = torch.zeros(())
            """Largest ratio of both standard deviations in a batch so far."""

    def net(self, critic: Critic) -> nn.Module:
        """Makes the critic, or all of them. Hook."""
        event: Any = self.model.event
        return critic.net(event, context_of(self.model))

    def games(self) -> list[Game]:
        """Returns the games that are played, of the model as it is now. Hook; by default one, with all of the model."""
        return [Game(self.critic, self.model)]

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
    def critic_loss(self, f: Function, x: Tensor, sample: Tensor) -> Tensor:
        """Returns the loss of a critic f, a scalar, from its inputs: examples and as many samples of their contexts."""

    def critic_doubts(self, loss: float = math.inf) -> list[str]:
        """Returns warnings about a critic, given its usual loss, if that is known. Hook."""
        return []

    @property
    def growth(self) -> Growth:
        """The schedule by which the networks grow: that of the model, as it is now, if it has one."""
        model: Any = self.model
        return model if self.is_progressive else GROWN

    def seen(self, x: Tensor) -> Tensor:
        """Returns the critic's input: `x`, with instance noise if there is any."""
        return x + self.noise * self.growth.grain(x) if self.noise else x

    def pull(self, f: Function, sample: Tensor) -> Tensor:
        """Returns minus the gradient of the generator's loss at each sample, times their number, [num, *event.shape].

        In nats, or outputs of a Wasserstein critic, per unit of x.
        """
        x = sample.detach().requires_grad_()
        with frozen(self.critic.parameters()):
            (slope,) = torch.autograd.grad(self.generator_loss(f(x)) * len(x), x)
        return -slope

    @torch.no_grad()
    def watched(self, batch: Batch) -> Tensor:
        """Returns the divergence estimated from each example and a sample of its context, [batch]; of games, the mean.

        The two of a pair share a context, but pairs are independent, unless a critic sees how much its batch deviates:
        then their mean is returned, [1], which has a standard error over batches alone.
        """
        payoffs = []
        for game in self.games():
            x, _, context = game.view(batch)
            f, sample = game.told(context), game.generated(len(x), context)
            of_x, of_sample = self.payoff(f(self.seen(self.growth.shown(x))), f(self.seen(sample)))
            payoffs.append(of_x + of_sample)
        of_pairs = self.divergence(torch.stack(payoffs).mean(0))
        is_joint = any(isinstance(part, MinibatchDeviation) for part in self.critic.modules())
        return of_pairs.mean(0, keepdim=True) if is_joint else of_pairs

    def players(self) -> list[Player]:
        """Returns the critic of each game, and its generator, which steps after every `k` steps of the critic."""
        players = []
        for game in self.games():
            critic, generator = (
                [part for part in each.parameters() if part.requires_grad] for each in (game.critic, game.generator)
            )
            players += [
                Player(game.of("critic"), critic, self.rate, 1, game.first, game.stop),
                Player(game.of("generator"), generator, 1.0, self.k, game.first, game.stop),
            ]
        return players

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Sets the resolution of networks that grow by the number of steps; that of a moving average follows."""
        for part in self.growing:
            part.grow(self.growth.resolution_at(self.iteration // self.optimization.accumulate))

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of a critic or of a generator, each on new samples."""
        game = next(game for game in self.games() if name in (game.of("critic"), game.of("generator")))
        x, _, context = game.view(batch)
        f, sample = game.told(context), game.generated(len(x), context)
        if name == game.of("generator"):
            return self.generator_loss(f(self.seen(sample))), {}
        x = self.growth.shown(x)
        loss = self.critic_loss(f, self.seen(x), self.seen(sample))
        self._observe(game, loss.detach(), sample, x)
        return loss, {}

    @torch.no_grad()
    def _observe(self, game: Game, loss: Tensor, sample: Tensor, x: Tensor) -> None:
        if len(x) > 1:
            now = torch.stack((loss, spread(sample), spread(x), torch.ones_like(loss)))
            moments = self.rank_state[game.of("moments")]
            moments.lerp_(now.to(moments), 1 - DECAY)
            peak = self.rank_state[game.of("peak")]
            torch.maximum(peak, (now[1] / now[2]).nan_to_num(0.0, 0.0).to(peak), out=peak)

    def usual(self, game: Game) -> list[float]:
        """Running averages of the critic's loss and the standard deviations of samples and examples; empty at first."""
        *sums, weight = self.rank_state[game.of("moments")].tolist()
        return [each / weight for each in sums] if weight >= ENOUGH else []

    def doubts(self) -> list[str]:
        """Returns warnings: of a generator untrained or not yet grown, of samples that are alike, and of a critic."""
        of_games = [
            f"{of_stage(game.name)}: {doubt}" if game.name else doubt
            for game in self.games()
            for doubt in (*self._generator_doubts(game), *self.critic_doubts(*self.usual(game)[:1]))
        ]
        return [*self._growth_doubts(), *of_games]

    def _growth_doubts(self) -> list[str]:
        accumulate = self.optimization.accumulate
        steps, newest = self.growth.steps_to_grow(), max(0, self.iteration - 1) // accumulate
        if self.growth.resolution_at(newest) == self.growth.resolution_at(steps):
            return []
        return [
            f"samples have a lower resolution than the data, as the model grows for {steps * accumulate} batches, and "
            f"{self.iteration} were trained on; raise trainer.max_steps, or lower model.fade and model.stable"
        ]

    def _generator_doubts(self, game: Game) -> list[str]:
        if 0 < self.iteration < (game.first + self.k) * self.optimization.accumulate:
            before, cure = f"objective.k = {self.k} of the critic", ", or lower objective.k"
            if game.first:
                before, cure = f"{game.first} steps of other stages", ""
            return [
                f"the generator has made no step in {self.iteration} batches, as {before} come first; "
                f"raise trainer.max_steps{cure}"
            ]
        _, of_samples, of_data = self.usual(game) or (0.0, 1.0, 1.0)
        if of_samples >= ALIKE * of_data:
            return []
        share = 100 * of_samples / of_data
        what = f"the samples are all alike: their spread is {share:.1f} % of the data's"
        if self.rank_state[game.of("peak")] < ALIKE:
            return [f"{what}, and never was {100 * ALIKE:.0f} %: the generator has learned little; train longer"]
        return [
            f"{what}, the generator has collapsed; lower objective.critic.rate or optimizer.lr, or raise "
            "objective.critic.noise"
        ]


def spread(x: Tensor) -> Tensor:
    """Root of the mean variance of the dimensions of x [batch, ...]; on a CPU `std` of each takes ten times as long."""
    return (x - x.mean(0)).square_().mean().sqrt_()
