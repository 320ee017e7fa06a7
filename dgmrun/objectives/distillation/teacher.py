"""Teachers of a student: any model that can be sampled, or a mixture of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dgmrun.objectives.distillation.stream import MixtureStream, StreamSettings, TeacherStream
from dgmrun.protocols.models import TractableDensity, UnnormalisedDensity, roles
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Estimate


class Teacher(NamedTuple):
    """A trained model, whose parameters are fixed.

    Args:
        model: any model that can be sampled.
        log_z: the best available estimate of its log Z, if any.
    """

    model: nn.Module
    log_z: Estimate | None

    @property
    def has_density(self) -> bool:
        """Whether `log_density` is available."""
        return roles(type(self.model)).density in (TractableDensity, UnnormalisedDensity)

    def log_density(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Returns log f(x), [batch]; without log Z if the teacher is unnormalised."""
        if roles(type(self.model)).density is TractableDensity:
            return self.model.log_prob(x, context)  # type: ignore[operator]
        return self.model.log_unnormalised(x)  # type: ignore[operator]

    def stream(self, settings: StreamSettings, data: Source) -> TeacherStream:
        """Returns a stream of its samples."""
        return TeacherStream(self.model, settings, data)


class Mixture(NamedTuple):
    r"""Mixture of teachers, :math:`p(x) = \sum_k w_k p_k(x)`.

    Args:
        teachers: the teachers p_k.
        shares: the mixture weights w_k, whose sum is 1.
    """

    teachers: list[Teacher]
    shares: list[float]

    @classmethod
    def of(cls, teachers: list[Teacher], weights: Sequence[int | float] | None) -> Mixture:
        """Makes a mixture with these relative weights; None for equal weights.

        Raises:
            ValueError: a weight is invalid, or their number is wrong; the message names the key.
        """
        given = [1.0] * len(teachers) if weights is None else list(weights)
        if len(given) != len(teachers) or not all(
            type(weight) in (int, float) and 0 < weight < math.inf for weight in given
        ):
            raise ValueError(
                f"`objective.teacher_weights` must be null or a list of positive numbers, one for each of the "
                f"{len(teachers)} teachers, but is {weights}"
            )
        return cls(teachers, [weight / sum(given) for weight in given])

    @property
    def has_density(self) -> bool:
        """Whether the density is available, which requires log Z of each teacher."""
        return all(teacher.has_density and teacher.log_z is not None for teacher in self.teachers)

    @property
    def log_z(self) -> None:
        """None: log Z of the mixture would be 0 if those of the teachers were exact, but its error is unknown."""

    def log_density(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Returns log p(x), [batch]."""
        parts = [
            teacher.log_density(x, context) - (0.0 if teacher.log_z is None else teacher.log_z.value)
            for teacher in self.teachers
        ]
        return torch.logsumexp(torch.stack(parts, -1) + parts[0].new_tensor(self.shares).log(), -1)

    def stream(self, settings: StreamSettings, data: Source) -> MixtureStream:
        """Returns a stream of its samples."""
        return MixtureStream([teacher.stream(settings, data) for teacher in self.teachers], self.shares)
