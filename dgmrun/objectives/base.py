"""What every objective shares: whose turn it is, the optimiser step, and the state that a checkpoint needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dgmrun.objectives.players import Player, Seat, frozen, seats
from dgmrun.objectives.state import all_alike, first_non_finite
from dgmrun.protocols.models import Pictured
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch


@dataclass(frozen=True)
class Optimization:
    """How parameters follow gradients.

    Args:
        optimizer: makes a torch optimiser from groups of parameters.
        schedule: makes a torch learning-rate schedule from an optimiser; it advances once per optimiser step.
        clip_norm: largest Euclidean norm of the gradient.
        ema: decay of the moving average of the weights, per optimiser step.
        accumulate: batches whose gradients make one optimiser step.
    """

    optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    schedule: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler] | None = None
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


class NonFiniteError(Exception):
    """A loss or parameter is NaN or infinite; the message names the first one, `batch` is where it showed."""

    def __init__(self, name: str, batch: Batch) -> None:
        super().__init__(name)
        self.batch = batch


class Objective(LightningModule):
    """A model and how it is trained. A final subclass states `requires`, and `loss`, or `players` and `player_loss`.

    Methods that say so are hooks, to be filled; all others are final. Steps are iterations: `iteration` counts batches,
    whatever Lightning counts.
    """

    requires: ClassVar[type]
    stops_by_watched: ClassVar[bool] = True
    """Whether a training is at its best where what is `watched` is least."""

    def __init__(self, model: nn.Module, optimization: Optimization) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.optimization = optimization
        self.iteration = 0
        self.rank_state: dict[str, Tensor] = {}
        """What each process has of its own, by name: it is saved, and given back to the process that had it."""
        self.seats: list[Seat] = []
        self.average = None if optimization.ema is None else average(model, optimization.ema)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to descend, in nats per example, and named terms to log beside it. A hook.

        Of several players, where nothing else is said, it is that of the first to play.
        """
        return self.player_loss(self.players()[0].name, batch)

    def players(self) -> list[Player]:
        """Who trains what, in the order of play. A hook: one player moves all that is trained, by `loss`."""
        return [Player("model", self.trained_parameters())]

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar that one of several players descends, and named terms. A hook.

        What the player does not move is constant meanwhile.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what {name} descends: by loss, or player_loss")

    def moved(self, name: str) -> None:
        """A hook: what happens after an optimiser step of a player."""

    def watched(self, batch: Batch) -> Tensor:
        """What validation watches where the model has no likelihood: values whose mean is the less, the better.

        A hook. One value for each example [batch], where there can be: their spread gives the standard error. Else one
        for the batch, [1]: its loss.
        """
        return self.loss(batch)[0].detach().reshape(1)

    def begin(self, data: Source) -> None:
        """A hook: looks at the data once, before training, whose place stays where it is."""

    def stream(self, data: Source) -> Source:
        """What is trained on. A hook: the data, unless an objective makes its own."""
        return data

    def own_pictures(self) -> dict[str, Tensor]:
        """A hook: named tensors worth looking at which are not the model's."""
        return {}

    def doubts(self) -> list[str]:
        """A hook: what a user should know of this training that no figure says, in words."""
        return []

    @final
    def prepare(self, data: Source) -> Source:
        """What is trained on, once the data were looked at; state of this process goes where the model is."""
        like = next(self.model.parameters())
        for name, state in self.rank_state.items():
            self.rank_state[name] = state.to(like if state.is_floating_point() else like.device)
        self.begin(data)
        return self.stream(data)

    @final
    def take_rank_state(self, state: Any) -> None:
        """Takes back what was saved of `rank_state`, in place.

        Raises:
            ValueError: it is other state than this objective has.
        """
        for name, tensor in all_alike(state, self.rank_state, "state of the objective").items():
            self.rank_state[name].copy_(tensor)

    @final
    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Within it, what the process has of its own may change, and is given back afterwards."""
        kept = {name: state.clone() for name, state in self.rank_state.items()}
        try:
            yield
        finally:
            for name, state in kept.items():
                self.rank_state[name].copy_(state)

    @final
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Named tensors worth looking at, given some examples: what the model shows, if anything, and own ones."""
        shown = self.model.pictures(batch) if isinstance(self.model, Pictured) else {}
        return {**shown, **self.own_pictures()}

    @property
    def evaluated(self) -> nn.Module:
        """The model whose figures count: the moving average where there is one."""
        return self.model if self.average is None else self.average.module

    @final
    def trained_parameters(self) -> list[nn.Parameter]:
        """Those that are trained."""
        return [part for part in self.parameters() if part.requires_grad]

    @final
    def own_parameters(self) -> list[nn.Parameter]:
        """Those that are trained and are not the model's."""
        of_model = set(self.model.parameters())
        return [part for part in self.trained_parameters() if part not in of_model]

    @final
    def configure_optimizers(self) -> Any:
        """The optimiser of the player, or those of all in the order of play.

        Raises:
            ValueError: nobody could keep apart the gradients that players have left in the same parameters.
        """
        self.seats = seats(self.players(), self.trained_parameters(), self.model)
        accumulate, number = self.optimization.accumulate, sum(len(seat.player.parameters) for seat in self.seats)
        if accumulate > 1 and number > len({part for seat in self.seats for part in seat.player.parameters}):
            raise ValueError(f"`trainer.accumulate` must be 1 where players share parameters, but is {accumulate}")
        optimizers = [self._optimizer(seat.player) for seat in self.seats]
        return optimizers if len(optimizers) > 1 else optimizers[0]

    def _optimizer(self, player: Player) -> Any:
        """An optimiser, with its schedule; weight decay is for the model's weights alone."""
        weights = {parameter for parameter in self.model.parameters() if parameter.dim() > 1}
        groups: list[dict[str, Any]] = [
            {"params": [parameter for parameter in player.parameters if parameter in weights]},
            {"params": [parameter for parameter in player.parameters if parameter not in weights], "weight_decay": 0.0},
        ]
        optimizer = self.optimization.optimizer([group for group in groups if group["params"]])
        for group in optimizer.param_groups:
            group["lr"] *= player.rate
        schedule = self.optimization.schedule
        return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule(optimizer)}

    @final
    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """One batch: gradients of those whose turn it is, and after `accumulate` of them an optimiser step of each."""
        turn, part = divmod(self.iteration, self.optimization.accumulate)
        is_step = part == self.optimization.accumulate - 1
        terms: dict[str, Tensor] = {}
        for place, seat in enumerate(self.seats):
            is_turn = turn % seat.player.every == seat.player.every - 1
            if is_turn:
                terms = {**self._descend(seat, batch), **terms}  # `loss` stays that of the first
            if is_turn and is_step:
                self.step(place)
            elif is_step:
                self._age(place)
        self.iteration += 1
        return terms

    def _descend(self, seat: Seat, batch: Batch) -> dict[str, Tensor]:
        """Leaves the gradient of a player's loss in its parameters; gives what is logged of it."""
        name, parameters, *_ = seat.player
        is_alone = len(self.seats) == 1
        with frozen(seat.constants):
            loss, terms = self.loss(batch) if is_alone else self.player_loss(name, batch)
        if not torch.isfinite(loss):
            raise NonFiniteError(first_non_finite({"x": batch.x, **dict(self.named_parameters())}) or "loss", batch)
        total = loss / self.optimization.accumulate
        if seat.constants and self.trainer.world_size > 1:  # every process waits for the gradient of every parameter
            total = total + 0 * sum(part.sum() for part in seat.constants)
        self.manual_backward(total)
        terms = {"loss": loss.detach(), **terms}
        if is_alone:
            return terms
        gradient = torch.nn.utils.get_total_norm([part.grad for part in parameters if part.grad is not None])
        return {**terms, f"{name}_loss": loss.detach(), f"{name}_gradient": gradient}

    @final
    def step(self, place: int) -> None:
        """One optimiser step of the player at this place."""
        optimizer: Any = _at(place, self.optimizers(use_pl_optimizer=False))
        if self.optimization.clip_norm is not None:
            trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(trained, self.optimization.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        self._age(place)
        if self.average is not None and self.seats[place].moves_model:
            self.average.update_parameters(self.model)
        self.moved(self.seats[place].player.name)

    def _age(self, place: int) -> None:
        """Takes the schedule of the player at this place one step on."""
        if (schedules := self.lr_schedulers()) is not None:
            _at(place, schedules).step()

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first player that moves the model."""
        place = next((place for place, seat in enumerate(self.seats) if seat.moves_model), 0)
        optimizer: Any = _at(place, self.optimizers(use_pl_optimizer=False))
        return float(optimizer.param_groups[0]["lr"])

    @final
    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """The batch as it is: sources gather it on the device."""
        return batch


def _at(place: int, one_or_more: Any) -> Any:
    """Lightning gives a list where there are several."""
    return one_or_more[place] if isinstance(one_or_more, list) else one_or_more


def average(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the parameters, itself without gradients."""
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    return averaged.requires_grad_(False)
