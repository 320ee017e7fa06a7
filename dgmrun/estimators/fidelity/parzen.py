r"""Parzen windows: log-density of a mixture of Gaussians centred at samples of a model, in nats.

.. math:: \log \hat p(x) = \log \frac{1}{S} \sum_s N(x; x_s, \sigma^2 I)

Of a model that draws in stages (`Staged`), log p(x) is a sum, and each term is estimated by windows of its own, on
samples of that stage given what the stages before would have drawn of the same example:

.. math:: \log \hat p(x) = \sum_k \log \hat p(x_k | c_k) + \log |\det \partial (x_0, ..., x_K) / \partial x|

This was once the standard figure for models without a density. It ranks models wrongly, prefers blurred ones, and in
high dimensions, with any affordable number of samples, it is far below the true log-likelihood.

References:
    Goodfellow et al. (2014), Generative adversarial networks, https://arxiv.org/abs/1406.2661, section 5.
    Theis, van den Oord and Bethge (2016), A note on the evaluation of generative models,
    https://arxiv.org/abs/1511.01844, section 3.3.
    Denton, Chintala, Szlam and Fergus (2015), Deep generative image models using a Laplacian pyramid of adversarial
    networks, https://arxiv.org/abs/1506.05751, appendix A: by stages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from dgmrun.estimators.scale import check_range
from dgmrun.protocols.methods import FidelityMethod, Unmeasurable
from dgmrun.protocols.models import Sampler, context_of
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.staged import Staged, of_stage
from dgmrun.protocols.values import Batch, Estimate, Evidence

BLOCK = 500
MOST = 10_000
"""Number of samples of a stage at once."""
UNRELIABLE = "Parzen windows are unreliable: they rank models wrongly (Theis et al. 2016); compare by another method"

AT_END = "the best bandwidth{} is the last that was tried: widen `fidelity.parzen.bandwidths`"


@dataclass(frozen=True)
class Parzen(FidelityMethod):
    """Mean log-density of a kernel density estimate, with the best of ten bandwidths on validation data.

    Args:
        num_samples: number of samples of the model, or of the first stage of one that draws in stages.
        bandwidths: smallest and largest bandwidth sigma to try, in the units that the model sees.
        num_valid: number of validation examples, which are not scored, that select the bandwidth, each stage its own.
        num_given: number of samples of a later stage for each example, given those before.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Sampler
    num_samples: int = 10_000
    bandwidths: Sequence[float] = (0.1, 1.0)
    num_valid: int = 1000
    num_given: int = 200

    def __post_init__(self) -> None:
        for key in ("num_samples", "num_valid", "num_given"):
            if (size := getattr(self, key)) < 1:
                raise ValueError(f"`fidelity.parzen.{key}` must be at least 1, but is {size}")
        check_range("fidelity.parzen.bandwidths", self.bandwidths)

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
        known = evidence.valid.rows(slice(self.num_valid))
        if len(known.x) == 0:
            raise Unmeasurable(
                "`fidelity.examples` must leave validation examples that are not scored, which select the bandwidth of "
                "parzen, but leaves none: lower it"
            )
        if isinstance(model, Staged):
            parts = zip(model.stages(), model.staged(evidence.batch), model.staged(known), strict=True)
            windows = {f"_{place}": self._windows(*part) for place, part in enumerate(parts)}
            means = {f"log_p{name}": float(each.log_p.mean()) for name, each in windows.items()}
            log_volume = model.log_volume()
        else:
            windows, means, log_volume = {"": self._windows(model, evidence.batch, known)}, {}, 0.0
        log_p = torch.stack([each.log_p for each in windows.values()]).sum(0) + log_volume
        at_end = [name for name, each in windows.items() if each.is_at_end]
        error = float(log_p.std()) / math.sqrt(len(log_p)) if len(log_p) > 1 else None
        chosen = {f"bandwidth{name}": each.bandwidth for name, each in windows.items()}
        return log_p, Estimate(
            "window_log_density",
            value=float(log_p.mean()),
            standard_error=error,
            interval=None,
            kind="estimate",
            bias="unknown",
            samples=min(each.num for each in windows.values()),
            settings=asdict(self),
            diagnostics={**chosen, **means},
            warnings=[UNRELIABLE, *(AT_END.format(name and f" of {of_stage(name[1:])}") for name in at_end)],
        )

    def _windows(self, model: Any, batch: Batch, known: Batch) -> Windows:
        """Scores a model, or a stage of one, with the bandwidth that is best on validation data."""
        low, high = (math.log(sigma) for sigma in self.bandwidths)
        tried = torch.linspace(low, high, 10).exp().tolist()
        centres = model.sample(self.num_samples).flatten(1) if context_of(model) is None else None

        def scored(part: Batch, sigmas: Sequence[float]) -> Tensor:
            if centres is not None:
                return log_windows(part.x.flatten(1), centres, sigmas)
            size = max(1, MOST // self.num_given)
            return torch.cat([self._given(model, block, sigmas) for block in part.blocks(size)], 1)

        best = int(scored(known, tried).mean(1).argmax())
        (log_p,) = scored(batch, tried[best : best + 1])
        num = self.num_given if centres is None else self.num_samples
        return Windows(log_p, tried[best], low < high and best in (0, len(tried) - 1), num)

    def _given(self, stage: Any, part: Batch, sigmas: Sequence[float]) -> Tensor:
        """Log-densities of a part of examples, [sigmas, examples], each by samples that are given what it is given."""
        context = part.context.repeat_interleave(self.num_given, 0)  # type: ignore[union-attr]
        samples = stage.sample(len(context), context).flatten(1).double().unflatten(0, (len(part.x), -1))
        square = (samples - part.x.flatten(1).double()[:, None]).square().sum(-1)
        return of_distances(square, sigmas, samples.shape[-1])


class Windows(NamedTuple):
    """Windows of a model or of a stage.

    Args:
        log_p: log-densities of examples.
        bandwidth: the bandwidth sigma.
        is_at_end: whether that is the first or the last that was tried.
        num: number of windows of each example.
    """

    log_p: Tensor
    bandwidth: float
    is_at_end: bool
    num: int


def log_windows(
    x: Float[Tensor, "examples dims"], centres: Float[Tensor, "samples dims"], sigmas: Sequence[float]
) -> Float64[Tensor, "sigmas examples"]:
    """Returns the log-densities of mixtures of Gaussians at `centres`, one for each standard deviation in `sigmas`.

    Distances are computed by differences: products of far points cancel.
    """
    centres, blocks = centres.double(), []
    for block in tracked(x.split(BLOCK)):
        square = torch.cdist(block.double(), centres, compute_mode="donot_use_mm_for_euclid_dist").square()
        blocks.append(of_distances(square, sigmas, x.shape[1]))
    return torch.cat(blocks, 1)


def of_distances(
    square: Float64[Tensor, "examples samples"], sigmas: Sequence[float], dims: int
) -> Float64[Tensor, "sigmas examples"]:
    """Returns the log-densities of mixtures of Gaussians, given squared distances from their centres."""
    log_p = torch.stack([torch.logsumexp(square / (-2 * sigma**2), 1) for sigma in sigmas])
    scale = torch.tensor(sigmas, dtype=torch.float64, device=square.device)[:, None]
    return log_p - dims * (scale * math.sqrt(2 * math.pi)).log() - math.log(square.shape[1])
