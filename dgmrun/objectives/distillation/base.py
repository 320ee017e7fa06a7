r"""Distillation: a tractable student q is trained to match a teacher p = f / Z, on samples of the teacher.

.. math:: E_p[-\log q(x)], \qquad \tfrac12 E_p[(\log q(x) - \log f(x) + c)^2], \qquad
          \tfrac12 E_p[\lVert \nabla_x \log q(x) - \nabla_x \log f(x) \rVert^2]

References:
    Papamakarios and Murray (2015), Distilling intractable generative models.
    Papamakarios (2015), Distilling model knowledge, https://arxiv.org/abs/1510.02437, chapter 4.
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.distillation.stream import StreamSettings
from dgmrun.objectives.distillation.teacher import Mixture, Teacher
from dgmrun.protocols.models import TractableDensity
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch

OFFSETS = ("teacher", "batch", "learned")
RATE = 0.01
"""Weight of each batch in the running mean of the `batch` offset."""


def cross_entropy(log_q: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """Returns the cross-entropy in nats, which is KL(p||q) plus the entropy of p, from log q at samples of p."""
    return -log_q.mean()


def square_error(log_ratio: Float[Tensor, "batch"], c: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Returns half the mean square of log q - log f + c, in nats^2; `log_ratio` is log q - log f at samples of p."""
    return 0.5 * (log_ratio + c).square().mean()


def score_error(score_q: Float[Tensor, "batch ..."], score_f: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
    """Returns half the mean squared distance between the gradients of log q and log f in x, at samples of p."""
    return 0.5 * (score_q - score_f).square().flatten(1).sum(-1).mean()


def scores(model: nn.Module, teacher: Teacher | Mixture, batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns the gradients of log q and log f in x, with binary x treated as real; the first is differentiable."""
    with torch.enable_grad():
        x, context = batch.x.detach().requires_grad_(), batch.context
        (score_q,) = torch.autograd.grad(model.log_prob(x, context).sum(), x, create_graph=True)  # type: ignore[operator]
        (score_f,) = torch.autograd.grad(teacher.log_density(x, context).sum(), x)
    return score_q, score_f


def some(data: Source) -> Batch:
    """Returns a batch of examples, without moving the position of the data."""
    place = data.state_dict()
    batch = next(iter(data))
    data.load_state_dict(place)
    return batch


class Offset(nn.Module):
    """Constant c that stands in for log Z in the square error.

    For c <= log Z, the minimum is at log q = log f - c as far as normalisation permits. `batch` and `learned` minimise
    the error in c as well: c then tends to log Z + KL(p||q), which exceeds log Z.

    Args:
        offset: null for 0, as published; a number; `teacher` for the log Z in its results.json; `batch` to centre each
            batch (each process centres its share); or `learned` to train c with the model.
        teacher: the teacher.

    Raises:
        ValueError: `offset` is none of these, or the teacher has no log Z.
    """

    def __init__(self, offset: float | str | None, teacher: Teacher | Mixture) -> None:
        super().__init__()
        is_number = type(offset) in (int, float)
        if offset is not None and not is_number and offset not in OFFSETS:
            raise ValueError(
                f"`objective.offset` must be null, a number or one of {', '.join(OFFSETS)}, but is {offset}"
            )
        if offset == "teacher" and teacher.log_z is None:
            raise ValueError(
                "`objective.offset` can be teacher only where there is one teacher with a log Z in its results.json"
            )
        self.kind = offset if isinstance(offset, str) else "number"
        self.log_z = teacher.log_z
        known = teacher.log_z.value if offset == "teacher" and teacher.log_z else offset
        c = torch.tensor(float(known) if isinstance(known, (int, float)) else 0.0, dtype=torch.float64)
        if self.kind == "learned":
            self.c = nn.Parameter(c)
        else:
            self.register_buffer("c", c)

    @torch.no_grad()
    def initialise(self, log_ratio: Float[Tensor, "batch"]) -> None:
        """Sets c to centre these examples if it is estimated, as log f can be hundreds of nats."""
        if self.kind in ("batch", "learned"):
            self.c.copy_(-log_ratio.mean())

    def forward(self, log_ratio: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
        """Returns c for a batch of log q - log f; with `batch`, `self.c` keeps a running mean."""
        if self.kind != "batch":
            return self.c
        c = -log_ratio.mean()
        self.c.lerp_(c.detach().double(), RATE)
        return c

    def doubts(self) -> list[str]:
        """Warns if c exceeds the upper end of the interval of log Z."""
        high = None if self.log_z is None or self.log_z.interval is None else self.log_z.interval[1]
        c = float(self.c.detach())
        if high is None or c <= high:
            return []
        cure = (
            "" if self.kind == "number" else ", as it does where it is centred or learned: it tends to log Z + KL(p||q)"
        )
        return [f"`objective.offset` of {c:.3f} exceeds {high:.3f}, the upper end of the teacher's log Z{cure}"]


class Distillation(Objective, ABC):
    """A student and its teacher.

    Raises:
        ValueError: the objective needs the density of the teacher, which has none.
    """

    requires: ClassVar[type] = TractableDensity
    is_mean: ClassVar[bool] = False
    """False: the examples are samples of the teacher, from chains that may go on from batch to batch."""
    needs_density: ClassVar[bool] = True

    def __init__(self, model: nn.Module, optimization: Optimization, teacher: Teacher | Mixture) -> None:
        super().__init__(model, optimization)
        if self.needs_density and not teacher.has_density:
            raise ValueError(
                "`objective` must be one that needs only samples, distill_kl, for a teacher without a density, or for "
                "several without each log Z, but needs the density of `objective.teacher`"
            )
        self.teacher = teacher

    @torch.no_grad()
    def log_f(self, batch: Batch) -> Tensor:
        """Returns the teacher's log-density up to log Z, [batch]; in full precision, as it can be hundreds of nats."""
        with torch.autocast(batch.x.device.type, enabled=False):
            return self.teacher.log_density(batch.x, batch.context)


class Streamed(Distillation, ABC):
    """A student trained on a stream of samples of its teacher."""

    def __init__(
        self, model: nn.Module, optimization: Optimization, teacher: Teacher | Mixture, stream: StreamSettings
    ) -> None:
        super().__init__(model, optimization, teacher)
        self.sampling = stream

    def stream(self, data: Source) -> Source:
        """Returns the stream of samples of the teacher."""
        return self.teacher.stream(self.sampling, data)


class SquareError(Streamed, ABC):
    """A student whose log-density is compared to that of its teacher, up to an offset.

    Args:
        model: the student, a tractable density.
        optimization: optimiser settings.
        teacher: the teacher.
        stream: how the teacher is sampled.
        offset: the constant c in place of log Z; see `Offset`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        teacher: Teacher | Mixture,
        stream: StreamSettings,
        offset: float | str | None = None,
    ) -> None:
        super().__init__(model, optimization, teacher, stream)
        self.offset = Offset(offset, teacher)

    def begin(self, data: Source) -> None:
        """Initialises an estimated offset from a batch of the data."""
        batch = self.as_precise(some(data))
        self.offset.initialise(self.model.log_prob(batch.x, batch.context) - self.log_f(batch))  # type: ignore[operator]

    def doubts(self) -> list[str]:
        """Returns warnings about the offset."""
        return self.offset.doubts()
