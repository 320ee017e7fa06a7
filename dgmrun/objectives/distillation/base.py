r"""Distillation: a tractable student q learns to mimic a teacher p = f / Z from its samples.

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
"""Weight of a batch in the running mean of a centred offset."""


def cross_entropy(log_q: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """KL(p||q) up to the entropy of p, in nats; log q at samples of p."""
    return -log_q.mean()


def square_error(log_ratio: Float[Tensor, "batch"], c: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Half the mean square of log q - log f + c, in square nats; `log_ratio` is log q - log f at samples of p."""
    return 0.5 * (log_ratio + c).square().mean()


def score_error(score_q: Float[Tensor, "batch ..."], score_f: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
    """Half the mean squared distance between the derivatives of log q and log f in x, at samples of p."""
    return 0.5 * (score_q - score_f).square().flatten(1).sum(-1).mean()


def scores(model: nn.Module, teacher: Teacher | Mixture, batch: Batch) -> tuple[Tensor, Tensor]:
    """Derivatives of log q and of log f in x, binary x treated as real; the first carries the student's gradient."""
    with torch.enable_grad():
        x, context = batch.x.detach().requires_grad_(), batch.context
        (score_q,) = torch.autograd.grad(model.log_prob(x, context).sum(), x, create_graph=True)  # type: ignore[operator]
        (score_f,) = torch.autograd.grad(teacher.log_density(x, context).sum(), x)
    return score_q, score_f


def some(data: Source) -> Batch:
    """A batch of examples; the place in the data stays."""
    place = data.state_dict()
    batch = next(iter(data))
    data.load_state_dict(place)
    return batch


class Offset(nn.Module):
    """The constant c that stands in for log Z of the teacher in the square error.

    With c <= log Z the error is least where log q is log f - c as far as normalisation lets it. `batch` and `learned`
    take the c that makes the error least: they tend to log Z + KL(p||q), on the other side of log Z.

    Args:
        offset: null for 0, as published; a number; `teacher`, the log Z in its results.json; `batch`, where each batch
            is centred, of several processes each share of it; or `learned`, by the optimiser.
        teacher: whose log Z it is.

    Raises:
        ValueError: `offset` is something else, or the teacher has no log Z.
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
                "`objective.offset` can be teacher only where the teacher has a log Z, but its results.json has none"
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
        """Starts where these examples are centred, if c is not given: their log f can be hundreds of nats."""
        if self.kind in ("batch", "learned"):
            self.c.copy_(-log_ratio.mean())

    def forward(self, log_ratio: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
        """c for this batch of log q - log f; where batches are centred, `self.c` keeps a running mean."""
        if self.kind != "batch":
            return self.c
        c = -log_ratio.mean()
        self.c.lerp_(c.detach().double(), RATE)
        return c

    def doubts(self) -> list[str]:
        """In words, that c is above what log Z can be."""
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
        ValueError: the objective compares with a density that the teacher does not have.
    """

    requires: ClassVar[type] = TractableDensity
    needs_density: ClassVar[bool] = True

    def __init__(self, model: nn.Module, optimization: Optimization, teacher: Teacher | Mixture) -> None:
        super().__init__(model, optimization)
        if self.needs_density and not teacher.has_density:
            raise ValueError(
                "`objective` must be one that needs only samples, distill_kl, for a teacher without a density, "
                f"but `objective.teacher` is a run of {teacher.name}"
            )
        self.teacher = teacher

    @torch.no_grad()
    def log_f(self, batch: Batch) -> Tensor:
        """The teacher's log-density, up to its log Z, [batch]; hundreds of nats want single precision at least."""
        with torch.autocast(batch.x.device.type, enabled=False):
            return self.teacher.log_density(batch.x, batch.context)


class Streamed(Distillation, ABC):
    """A student that is trained on the stream of its teacher's samples."""

    def __init__(
        self, model: nn.Module, optimization: Optimization, teacher: Teacher | Mixture, stream: StreamSettings
    ) -> None:
        super().__init__(model, optimization, teacher)
        self.sampling = stream

    def stream(self, data: Source) -> Source:
        """The teacher's samples."""
        return self.teacher.stream(self.sampling, data)


class SquareError(Streamed, ABC):
    """A student whose log-probabilities are compared with its teacher's, up to an offset.

    Args:
        model: the student, a tractable density.
        optimization: how its parameters follow the gradient.
        teacher: the teacher.
        stream: how the teacher is sampled.
        offset: the c that stands in for log Z; see `Offset`.
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
        """Starts an offset that is not given where it centres some data."""
        batch = some(data)
        self.offset.initialise(self.model.log_prob(batch.x, batch.context) - self.log_f(batch))  # type: ignore[operator]

    def doubts(self) -> list[str]:
        """Of the offset."""
        return self.offset.doubts()
