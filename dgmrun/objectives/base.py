"""Base class of all objectives: alternation of players, optimiser steps, and per-process state for checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from dgmrun.objectives.average import average
from dgmrun.objectives.decay import decayed
from dgmrun.objectives.lightning import LightningModule
from dgmrun.objectives.players import Player, Seat, frozen, seats
from dgmrun.objectives.state import NonFiniteError, all_alike, first_non_finite
from dgmrun.protocols.models import Pictured
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch


@dataclass(frozen=True)
class Optimization:
    """Optimiser settings.

    Args:
        optimizer: makes a torch optimiser from parameter groups.
        schedule: makes a torch learning-rate schedule from an optimiser, the step at which its player enters the game
            and the step at which it leaves. The schedule advances once per optimiser step between the two.
        clip_norm: largest Euclidean norm of the gradient; larger gradients are rescaled.
        ema: decay of the exponential moving average of the weights, per optimiser step, after a warm-up.
        accumulate: number of batches whose gradients are accumulated for each optimiser step.
    """

    optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    schedule: Callable[[torch.optim.Optimizer, int, float], torch.optim.lr_scheduler.LRScheduler] | None = None
    clip_norm: float | None = None
    ema: float | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError(f"`optimizer.clip_norm` must be positive or null, but is {self.clip_norm}")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"`optimizer.ema` must be at least 0 and below 1, but is {self.ema}")
        if self.accumulate < 1:
            raise ValueError(f"`trainer.accumulate` must be at least 1, but is {self.accumulate}")


class Objective(LightningModule):
    """A model with a training loss.

    Concrete subclasses define `requires` and either `loss` or, for several players, `players` and `player_loss`.
    Methods documented as hooks may be overridden; all others are final. Steps are counted in iterations: `iteration`
    is the number of batches processed, regardless of Lightning's own counters.
    """

    requires: ClassVar[type]
    stops_by_watched: ClassVar[bool] = True
    """Whether the quantity returned by `watched` is suitable for early stopping (lower is better)."""
    takes_bfloat16: ClassVar[bool] = True
    """Whether the loss keeps its digits where products are of bfloat16: not as a difference of large numbers."""
    is_mean: ClassVar[bool] = True
    """Whether the loss is a mean over the examples of the batch, each of which contributes independently."""

    def __init__(self, model: nn.Module, optimization: Optimization) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.optimization = model, optimization
        self.iteration = 0
        self.rank_state: dict[str, Tensor] = {}
        """Named state that differs between processes; checkpoints store and restore it separately for each process."""
        self.seats: list[Seat] = []
        self.average = None if optimization.ema is None else average(model, optimization.ema)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar to minimise, in nats per example, and named terms to log. Hook.

        With several players, the default is the loss of the first one.
        """
        return self.player_loss(self.players()[0].name, batch)

    def players(self) -> list[Player]:
        """Returns the players in the order of play. Hook; by default, one player trains everything on `loss`."""
        return [Player("model", self.trained_parameters())]

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar that one of several players minimises, and named terms to log. Hook.

        Parameters that the player does not train are frozen during the call.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what {name} descends: by loss, or player_loss")

    def moved(self, name: str) -> None:
        """Runs after each optimiser step of the named player. Hook."""

    def watched(self, batch: Batch) -> Tensor:
        """Returns values to validate on if the model has no likelihood; a lower mean is better. Hook.

        One of each example [batch] if possible, which gives a standard error; else one [1], by default the loss.
        """
        return self.loss(batch)[0].detach().reshape(1)

    def begin(self, data: Source) -> None:
        """Prepares the objective from the data once, before training, without moving their position. Hook."""

    def stream(self, data: Source) -> Source:
        """Returns the source of training batches. Hook; the default is the data themselves."""
        return data

    def own_pictures(self) -> dict[str, Tensor]:
        """Returns named tensors to plot that belong to the objective rather than to the model. Hook."""
        return {}

    def doubts(self) -> list[str]:
        """Returns warnings about the training that its figures do not show. Hook."""
        return []

    @final
    def prepare(self, data: Source) -> Source:
        """Calls `begin`, moves per-process state to the device of the model, and returns the training source."""
        like = next(self.model.parameters())
        for name, state in self.rank_state.items():
            self.rank_state[name] = state.to(like if state.is_floating_point() else like.device)
        self.begin(data)
        return self.stream(data)

    @final
    def as_precise(self, batch: Batch) -> Batch:
        """Returns a batch with floating-point examples and contexts in the precision of the model."""
        dtype = next(self.model.parameters()).dtype

        def cast(part: Tensor) -> Tensor:
            return part.to(dtype) if part.is_floating_point() else part

        return batch._replace(x=cast(batch.x), context=None if batch.context is None else cast(batch.context))

    @final
    def take_rank_state(self, state: Any) -> None:
        """Restores `rank_state` in place.

        Raises:
            ValueError: names, shapes or dtypes differ from those of this objective.
        """
        for name, tensor in all_alike(state, self.rank_state, "state of the objective").items():
            self.rank_state[name].copy_(tensor)

    @final
    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Context manager in which `model` is the `evaluated` one, in evaluation mode.

        On exit, rank state and buffers are what they were.
        """
        changing = [*self.rank_state.values(), *self.buffers()]
        kept, was_training, trained = [state.clone() for state in changing], self.training, self.model
        self.eval()
        self.model = self.evaluated
        try:
            yield
        finally:
            self.model = trained
            self.train(was_training)
            with torch.no_grad():
                for state, before in zip(changing, kept, strict=True):
                    state.copy_(before)

    @final
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Returns named tensors to plot for some examples, those of the model, if any, and those of the objective."""
        shown = self.model.pictures(batch) if isinstance(self.model, Pictured) else {}
        return {**shown, **self.own_pictures()}

    @property
    def evaluated(self) -> nn.Module:
        """The model to evaluate: the moving average of the weights if there is one, else the model itself."""
        return self.model if self.average is None else self.average.module

    @final
    def trained_parameters(self) -> list[nn.Parameter]:
        """Returns all trainable parameters."""
        return [part for part in self.parameters() if part.requires_grad]

    @final
    def own_parameters(self) -> list[nn.Parameter]:
        """Returns the trainable parameters that do not belong to the model."""
        of_model = set(self.model.parameters())
        return [part for part in self.trained_parameters() if part not in of_model]

    @final
    def configure_optimizers(self) -> Any:
        """Returns the optimiser of the only player, or those of all players in the order of play.

        Raises:
            ValueError: gradients are to be accumulated for parameters shared between players.
        """
        self.seats = seats(self.players(), self.trained_parameters(), self.model)
        accumulate, number = self.optimization.accumulate, sum(len(seat.player.parameters) for seat in self.seats)
        if accumulate > 1 and number > len({part for seat in self.seats for part in seat.player.parameters}):
            raise ValueError(f"`trainer.accumulate` must be 1 where players share parameters, but is {accumulate}")
        optimizers = [self._optimizer(seat.player) for seat in self.seats]
        return optimizers if len(optimizers) > 1 else optimizers[0]

    def _optimizer(self, player: Player) -> Any:
        """Makes an optimiser and its schedule."""
        weights = decayed(self.model)
        groups: list[dict[str, Any]] = [
            {"params": [parameter for parameter in player.parameters if parameter in weights]},
            {"params": [parameter for parameter in player.parameters if parameter not in weights], "weight_decay": 0.0},
        ]
        optimizer = self.optimization.optimizer([group for group in groups if group["params"]])
        for group in optimizer.param_groups:
            group["lr"] *= player.rate
        schedule = self.optimization.schedule
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": schedule(optimizer, player.first, player.stop)}

    @final
    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Computes the gradients of each player whose turn it is; steps the optimisers every `accumulate` batches."""
        turn, part = divmod(self.iteration, self.optimization.accumulate)
        is_step = part == self.optimization.accumulate - 1
        schedules = self.lr_schedulers() if is_step else None
        has_moved = False
        terms: dict[str, Tensor] = {}
        for place, seat in enumerate(self.seats):
            if seat.player.plays(turn):
                terms = {**self._descend(seat, batch, is_step), **terms}  # `loss` is that of the first who plays
                if is_step:
                    self.step(place)
                    has_moved |= seat.moves_model
            if schedules is not None and seat.player.is_in(turn):
                _at(place, schedules).step()
        if has_moved and self.average is not None:
            self.average.update_parameters(self.model)
        self.iteration += 1
        return terms

    def _descend(self, seat: Seat, batch: Batch, is_step: bool) -> dict[str, Tensor]:
        """Backpropagates a player's loss, at a step averaged over processes; returns the terms to log."""
        name, parameters, *_ = seat.player
        is_alone = len(self.seats) == 1
        with frozen(seat.constants):
            loss, terms = self.loss(batch) if is_alone else self.player_loss(name, batch)
        if not torch.isfinite(loss):
            raise NonFiniteError(first_non_finite({"x": batch.x, **dict(self.named_parameters())}) or "loss", batch)
        total = loss / self.optimization.accumulate
        several: Any = None if is_step or self.trainer.world_size == 1 else self.trainer.strategy
        with several.block_backward_sync() if several else nullcontext():
            self.manual_backward(total)
        terms = {"loss": loss.detach(), **terms}
        if is_alone:
            return terms
        gradient = torch.nn.utils.get_total_norm([part.grad for part in parameters if part.grad is not None])
        return {**terms, f"{name}_loss": loss.detach(), f"{name}_gradient": gradient}

    @final
    def step(self, place: int) -> None:
        """Makes an optimiser step for the player at this index."""
        optimizer: Any = _at(place, self.optimizers(use_pl_optimizer=False))
        if self.optimization.clip_norm is not None:
            trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(trained, self.optimization.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        self.moved(self.seats[place].player.name)

    @final
    def reschedule(self, steps: int) -> None:
        """Sets schedules and learning rates to those after so many optimiser steps of a training of this length."""
        for place, seat in enumerate(self.seats):
            fresh = self._optimizer(seat.player)
            for _ in range(seat.player.age(steps)):
                fresh["lr_scheduler"].step()
            _at(place, self.lr_schedulers()).load_state_dict(fresh["lr_scheduler"].state_dict())
            optimizer: Any = _at(place, self.optimizers(use_pl_optimizer=False))
            for group, other in zip(optimizer.param_groups, fresh["optimizer"].param_groups, strict=True):
                group.update({**other, "params": group["params"]})

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first player that trains the model."""
        place = next((place for place, seat in enumerate(self.seats) if seat.moves_model), 0)
        optimizer: Any = _at(place, self.optimizers(use_pl_optimizer=False))
        return float(optimizer.param_groups[0]["lr"])

    @final
    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Returns the batch unchanged: sources already put it on the device."""
        return batch


def _at(place: int, one_or_more: Any) -> Any:
    """Selects the element at an index; Lightning returns a list only if there are several."""
    return one_or_more[place] if isinstance(one_or_more, list) else one_or_more
