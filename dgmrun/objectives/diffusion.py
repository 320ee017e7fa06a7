r"""Training of diffusion, by the bound or by a loss that weighs all amounts of noise alike.

.. math:: \mathcal{L}_\text{simple} = E_{t, \epsilon} |\epsilon - \hat\epsilon(z_t)|^2 / D

of Gaussian noise, and of bits the mean of :math:`-\log p(x_d \mid z_t)`.

References:
    Ho, Jain and Abbeel (2020), Denoising diffusion probabilistic models, https://arxiv.org/abs/2006.11239, equation 14.
    Kingma, Salimans, Poole and Ho (2021), Variational diffusion models, https://arxiv.org/abs/2107.00630, section 5 and
    appendix I.2: in continuous time what is between the ends of a schedule changes the variance of the bound alone, and
    is learned from that.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.players import Player
from dgmrun.protocols.models import Bounded
from dgmrun.protocols.values import Batch

LOSSES = ("bound", "simple")
SHARE = 4
"""One in so many examples shows the ends of the bound, which vary less than what is between, and cost as much."""
EVERY = 5
"""Steps of the model for each of a learned schedule."""


@runtime_checkable
class Diffusive(Bounded, Protocol):
    """A model with a bound of two parts, and a loss that weighs all amounts of noise alike."""

    def ends(self, batch: Batch) -> Tensor:
        """The ends of the bound, of the most and the least noise, in nats, [batch]."""

    def between(self, batch: Batch) -> Tensor:
        """What is between, by one amount of noise for each example, in nats, [batch]."""

    def simple(self, batch: Batch) -> Tensor:
        """The loss that weighs all amounts of noise alike, [batch]."""

    def learns(self, setting: str) -> bool:
        """Whether `schedule` or `variance` are learned, as the bound alone can do."""

    def interior(self) -> list[nn.Parameter]:
        """Parameters that change the variance of the bound alone."""


class Diffusion(Objective):
    """Minimises the bound, in nats per example, or the simple loss.

    Args:
        model: a diffusion model.
        optimization: optimiser settings.
        loss: `bound` or `simple`.

    Raises:
        ValueError: the loss is unknown, or does not train all of the model; the message names the key.
    """

    requires: ClassVar[type] = Diffusive
    is_mean: ClassVar[bool] = False
    """False: some examples alone show the ends of the bound, and amounts of noise are spread over a batch."""

    def __init__(self, model: nn.Module, optimization: Optimization, loss: str = "bound") -> None:
        super().__init__(model, optimization)
        if loss not in LOSSES:
            raise ValueError(f"`objective.loss` must be one of {', '.join(LOSSES)}, but is {loss}")
        self.by_bound = loss == "bound"
        untrained = [key for key in ("schedule", "variance") if model.learns(key)]  # type: ignore[operator]
        if not self.by_bound and untrained:
            raise ValueError(f"`model.{untrained[0]}` must not be learned where objective.loss=simple: use bound")

    def players(self) -> list[Player]:
        """Returns the model, and in continuous time what is between the ends of a learned schedule."""
        interior: list[nn.Parameter] = self.model.interior()  # type: ignore[operator]
        others = [part for part in self.trained_parameters() if all(part is not each for each in interior)]
        return [Player("model", others), *([Player("schedule", interior, every=EVERY)] if interior else [])]

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the bound or the simple loss; for the schedule, the mean square of what is between the ends."""
        model: Any = self.model
        if not self.by_bound:
            return model.simple(batch).mean(), {}
        between = model.between(batch)
        if name == "schedule":
            return (between / model.event.dims).square().mean(), {}
        few = batch if model.steps == 1 else batch.rows(slice(-(-len(batch.x) // SHARE)))
        ends = model.ends(few).mean()
        bound = ends + between.mean()
        return bound, {"bound": bound.detach(), "ends": ends.detach()}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of the model."""
        return self.player_loss("model", batch)

    def watched(self, batch: Batch) -> Tensor:
        """Returns the bound of each example, [batch]."""
        return self.model.bound(batch)  # type: ignore[operator]
