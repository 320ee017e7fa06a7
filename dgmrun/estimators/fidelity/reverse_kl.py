r"""Divergence of a student q from its teacher p, of which it may be the fast stand-in.

.. math:: \mathrm{KL}(q \Vert p) = E_q[\log q(x) - \log f(x)] + \log Z

where p = f / Z; log Z is 0 of a teacher that is normalised. It is what `objective=distill_variational` descends.

References:
    Papamakarios (2015), Distilling model knowledge, https://arxiv.org/abs/1510.02437, chapter 4.
    van den Oord, Li, Babuschkin et al. (2018), Parallel WaveNet: fast high-fidelity speech synthesis,
    https://arxiv.org/abs/1711.10433, equation 6.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.density import OPPOSITE, in_double, less
from dgmrun.estimators.sampling import contexts
from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.models import TractableDensity
from dgmrun.protocols.samplers import Pathwise
from dgmrun.protocols.values import Estimate, Evidence, half_width

TOGETHER = 100
"""Number of samples that are drawn at once."""


@dataclass(frozen=True)
class ReverseKL(FidelityMethod):
    """A mean over samples of the student, in nats; diagnostics have it for each dimension or token, too.

    Errors of log Z, if it is estimated, are in the error bar.

    Args:
        num_samples: number of samples of the student.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = TractableDensity
    needs: ClassVar[str | None] = "teacher"
    is_per_example: ClassVar[bool] = False
    num_samples: int = 1000

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise ValueError(f"`fidelity.reverse_kl.num_samples` must be at least 2, but is {self.num_samples}")

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "samples"], Estimate]:
        """Returns log q - log p of each sample, and their mean; in double precision."""
        teacher: Any = evidence.teacher
        student, batch = in_double(model, evidence.batch)
        given = contexts(batch, self.num_samples)
        parts, sizes = [], []
        for places in torch.arange(self.num_samples).split(TOGETHER):
            context = None if given is None else given[places.to(given.device)]
            x, log_q = _drawn(student, len(places), context)
            parts.append(log_q - teacher.log_density(x, context))
            sizes.append(model.event.size_of(x))
        log_ratio, size = torch.cat(parts), float(torch.cat(sizes).mean())
        error = float(log_ratio.std()) / math.sqrt(self.num_samples)
        value, half = float(log_ratio.mean()), half_width(error, self.num_samples)
        of_f = Estimate("", -value, error, (-value - half, half - value), "estimate", "none", self.num_samples)
        found = less(of_f, teacher.log_z)  # -KL
        low, high = found.interval or (None, None)
        of_each = {"per_dimension": -found.value / size, "standard_error_per_dimension": _over(found, size)}
        return log_ratio + teacher.log_z.value, replace(
            found,
            quantity="reverse_kl",
            value=-found.value,
            interval=None if found.interval is None else (_minus(high), _minus(low)),
            bias=OPPOSITE[found.bias],
            settings={**asdict(self), **found.settings},
            diagnostics={**found.diagnostics, **of_each},
        )


def _over(found: Estimate, size: float) -> float | None:
    return None if found.standard_error is None else found.standard_error / size


def _minus(end: float | None) -> float | None:
    return None if end is None else -end


def _drawn(model: Any, num: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns samples and log q of each."""
    if isinstance(model, Pathwise):
        return model.rsample_and_log_prob(num, context)
    x: Tensor = model.sample(num, context)
    return x, model.log_prob(x, context)
