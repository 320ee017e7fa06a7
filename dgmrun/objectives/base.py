"""What every objective shares: one optimiser step, and the state that a checkpoint needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

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


class Objective(LightningModule, ABC):
    """A model and how it is trained. A subclass states `requires` and overrides `loss`, and is final.

    Steps are iterations: `iteration` counts batches, whatever Lightning counts.
    """

    requires: ClassVar[type]
    stops_by_watched: ClassVar[bool] = True

    def __init__(self, model: nn.Module, optimization: Optimization) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.optimization = optimization
        self.iteration = 0
        self.waiting: dict[str, Tensor] = {}
        self.average = None if optimization.ema is None else average(model, optimization.ema)

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to descend, in nats per example, and named terms to log beside it."""

    def watched(self, batch: Batch) -> Tensor:
        """What validation watches where nothing is known of the likelihood."""
        return self.loss(batch)[0].reshape(1)

    def source(self, data: Source) -> Source:
        """What is trained on: the data, unless an objective makes its own."""
        return data

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Named tensors worth looking at, given some examples: what the model shows, if it shows anything."""
        return self.model.pictures(batch) if isinstance(self.model, Pictured) else {}

    def rank_state(self) -> dict[str, Any]:
        """What this process has of its own, plain tensors and numbers, for the checkpoint."""
        return {}

    def load_rank_state(self, state: dict[str, Any]) -> None:
        """Takes back what `rank_state` gave."""

    def doubts(self) -> list[str]:
        """What a user should know of this training that no figure says, in words."""
        return []

    @property
    def evaluated(self) -> nn.Module:
        """The model whose figures count: the moving average where there is one."""
        return self.model if self.average is None else self.average.module

    def own_parameters(self) -> list[nn.Parameter]:
        """Those that are trained and are not the model's."""
        of_model = set(self.model.parameters())
        return [part for part in self.parameters() if part.requires_grad and part not in of_model]

    def configure_optimizers(self) -> Any:
        """One optimiser over all that is trained."""
        return self.optimizer_of([parameter for parameter in self.parameters() if parameter.requires_grad])

    def optimizer_of(self, parameters: list[nn.Parameter], rate: float = 1.0) -> Any:
        """An optimiser, with its schedule; weight decay is for the model's weights alone.

        Args:
            parameters: what it trains.
            rate: of learning, over that which is configured.
        """
        weights = {parameter for parameter in self.model.parameters() if parameter.dim() > 1}
        groups: list[dict[str, Any]] = [
            {"params": [parameter for parameter in parameters if parameter in weights]},
            {"params": [parameter for parameter in parameters if parameter not in weights], "weight_decay": 0.0},
        ]
        optimizer = self.optimization.optimizer([group for group in groups if group["params"]])
        for group in optimizer.param_groups:
            group["lr"] *= rate
        schedule = self.optimization.schedule
        return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule(optimizer)}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """One batch: gradients, and after `accumulate` of them one optimiser step."""
        loss, terms = self.loss(batch)
        if not torch.isfinite(loss):
            raise NonFiniteError(first_non_finite({"x": batch.x, **dict(self.named_parameters())}) or "loss", batch)
        self.manual_backward(loss / self.optimization.accumulate)
        self.iteration += 1
        if self.iteration % self.optimization.accumulate == 0:
            self.step()
        return {"loss": loss.detach(), **terms}

    def step(self, player: int = 0) -> None:
        """One optimiser step, of the optimiser with this number; the first is the model's."""
        optimizer: Any = _numbered(self.optimizers(use_pl_optimizer=False), player)
        if self.optimization.clip_norm is not None:
            trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(trained, self.optimization.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        self.age(player)
        if self.average is not None and player == 0:
            self.average.update_parameters(self.model)

    def age(self, player: int) -> None:
        """Takes the schedule of the optimiser with this number one step on."""
        if (schedules := self.lr_schedulers()) is not None:
            _numbered(schedules, player).step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the count of iterations, and gradients that wait for their optimiser step."""
        checkpoint["iteration"] = self.iteration
        waiting = {name: part.grad for name, part in self.named_parameters() if part.grad is not None}
        checkpoint["gradients"] = waiting

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes them back."""
        self.iteration = checkpoint["iteration"]
        self.waiting = checkpoint["gradients"]

    def on_train_start(self) -> None:
        """Puts gradients from a checkpoint where they wait; Lightning has cleared what it found there."""
        parameters = dict(self.named_parameters())
        for name, gradient in self.waiting.items():
            parameters[name].grad = gradient.to(parameters[name].device)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """The batch as it is: sources gather it on the device."""
        return batch


def _numbered(one_or_more: Any, place: int) -> Any:
    return one_or_more[place] if isinstance(one_or_more, list) else one_or_more


def average(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the parameters, itself without gradients."""
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    return averaged.requires_grad_(False)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within it, the parameters of `module` are constants."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def first_non_finite(tensors: dict[str, Tensor]) -> str | None:
    """The name of the first tensor with a NaN or infinity."""
    return next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)
