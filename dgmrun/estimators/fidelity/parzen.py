r"""Parzen windows: log-density of a mixture of Gaussians centred at samples of a model, in nats.

.. math:: \log \hat p(x) = \log \frac{1}{S} \sum_s N(x; x_s, \sigma^2 I)

This was once the standard figure for models without a density. It ranks models wrongly, prefers blurred ones, and in
high dimensions, with any affordable number of samples, it is far below the true log-likelihood.

References:
    Goodfellow et al. (2014), Generative adversarial networks, https://arxiv.org/abs/1406.2661, section 5.
    Theis, van den Oord and Bethge (2016), A note on the evaluation of generative models,
    https://arxiv.org/abs/1511.01844, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.models import Sampler, context_of
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Estimate, Evidence

BLOCK = 500
UNRELIABLE = "Parzen windows are unreliable: they rank models wrongly (Theis et al. 2016); compare by another method"


@dataclass(frozen=True)
class Parzen(FidelityMethod):
    """Mean log-density of a kernel density estimate, with the best of ten bandwidths on validation data.

    Args:
        num_samples: number of samples of the model.
        bandwidths: smallest and largest bandwidth sigma to try, in the units that the model sees.
        num_valid: number of validation examples that select the bandwidth.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Sampler
    num_samples: int = 10_000
    bandwidths: Sequence[float] = (0.1, 1.0)
    num_valid: int = 1000

    def __post_init__(self) -> None:
        for key in ("num_samples", "num_valid"):
            if (size := getattr(self, key)) < 1:
                raise ValueError(f"`fidelity.parzen.{key}` must be at least 1, but is {size}")
        are_numbers = all(type(sigma) in (int, float) for sigma in self.bandwidths)
        if not are_numbers or len(self.bandwidths) != 2 or not 1e-9 < self.bandwidths[0] <= self.bandwidths[1] < 1e9:
            raise ValueError(
                f"`fidelity.parzen.bandwidths` must be two numbers in order, 1e-9 to 1e9, but is {self.bandwidths}"
            )

    def check(self, model: Any) -> None:
        """Raises ValueError if the data are not continuous, or the model is conditional."""
        if not model.event.is_continuous:
            raise ValueError(
                f"`fidelity.methods` must not have parzen for {model.event.kind} data, which has no density"
            )
        if context_of(model) is not None:
            raise ValueError("`fidelity.methods` must not have parzen for a conditional model")

    def is_automatic(self, model: object) -> bool:
        """Returns False: the method runs only on request."""
        return False

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the log-density of each example, and their mean, with the bandwidth selected on validation data."""
        x, known = evidence.batch.x, evidence.valid.x
        centres = model.sample(self.num_samples).flatten(1)
        low, high = (math.log(sigma) for sigma in self.bandwidths)
        tried = torch.linspace(low, high, 10).exp().tolist()
        scores = log_windows(known[: self.num_valid].flatten(1), centres, tried).mean(1)
        best = int(scores.argmax())
        (log_p,) = log_windows(x.flatten(1), centres, tried[best : best + 1])
        error = float(log_p.std()) / math.sqrt(len(log_p)) if len(log_p) > 1 else None
        value = float(log_p.mean())
        is_at_end = best in (0, len(tried) - 1)
        return log_p, Estimate(
            "window_log_density",
            value=value,
            standard_error=error,
            interval=None,
            kind="estimate",
            bias="unknown",
            samples=self.num_samples,
            settings=asdict(self),
            diagnostics={"bandwidth": tried[best]},
            warnings=[UNRELIABLE]
            + ["the best bandwidth is the last that was tried: widen `fidelity.parzen.bandwidths`"] * is_at_end,
        )


def log_windows(
    x: Float[Tensor, "examples dims"], centres: Float[Tensor, "samples dims"], sigmas: Sequence[float]
) -> Float64[Tensor, "sigmas examples"]:
    """Returns the log-densities of mixtures of Gaussians at `centres`, one for each standard deviation in `sigmas`.

    Distances are computed by differences: products of far points cancel.
    """
    centres, scale = centres.double(), torch.tensor(sigmas, dtype=torch.float64, device=x.device)[:, None]
    blocks = []
    for block in tracked(x.split(BLOCK)):
        square = torch.cdist(block.double(), centres, compute_mode="donot_use_mm_for_euclid_dist").square()
        blocks.append(torch.stack([torch.logsumexp(square / (-2 * sigma**2), 1) for sigma in sigmas]))
    return torch.cat(blocks, 1) - x.shape[1] * (scale * math.sqrt(2 * math.pi)).log() - math.log(len(centres))
