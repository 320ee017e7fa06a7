r"""The scale s of the noise with which a generator explains data best, from one annealing.

Along the path to the posterior at the smallest scale, :math:`s_0`, the posteriors at all larger ones are passed:

.. math:: \log p_s(x) = \log Z_\beta + \frac{D}{2} \left(\beta \log 2 \pi s_0^2 - \log 2 \pi s^2\right), \qquad
          Z_\beta = E_u\left[N(x;\, g(z(u)), s_0^2 I)^\beta\right], \qquad \beta = s_0^2 / s^2

References:
    Wu, Burda, Salakhutdinov and Grosse (2017), On the quantitative analysis of decoder-based generative models,
    https://arxiv.org/abs/1611.04273: the scale is chosen by validation; here at all scales at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.annealing import anneal, together, tuned
from dgmrun.estimators.shares import of_blocks
from dgmrun.latent.bounds import iwae
from dgmrun.protocols.methods import Unmeasurable
from dgmrun.protocols.models import Annealable, AnnealingPath
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.smoothed import Noisy
from dgmrun.protocols.values import Batch, Estimate

FROM = 4
"""How many times the largest scale that is tried is the one at which annealing begins."""
SMOOTHED = "of samples with Gaussian noise of this scale added: those of the generator alone have no density"
AT_END = "the best scale is the last that was tried: widen `{}.scales`"


def check_range(key: str, scales: Sequence[float]) -> None:
    """Checks the smallest and the largest of the scales that are tried, of Gaussians.

    Raises:
        ValueError: they are no two numbers in order; the message names the key.
    """
    are_two = isinstance(scales, Sequence) and len(scales) == 2 and all(type(each) in (int, float) for each in scales)
    if not are_two or not 1e-9 < scales[0] <= scales[1] < 1e9:
        raise ValueError(f"`{key}` must be two numbers in order, 1e-9 to 1e9, but is {scales}")


def check_scales(method: str, settings: Any) -> None:
    """Checks the scales that are tried for a generator, and the number of examples that select one.

    Args:
        method: key of the method, e.g. `likelihood.ais`.
        settings: settings with `scales` and `num_valid`.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """
    check_range(f"{method}.scales", settings.scales)
    if settings.num_valid < 1:
        raise ValueError(f"`{method}.num_valid` must be at least 1, but is {settings.num_valid}")


def as_decoder(model: Any, valid: Batch, settings: Any) -> Any:
    """Returns a latent variable model itself, and a generator with noise of the scale that is best on `valid`.

    Raises:
        Unmeasurable: no validation examples are left to select the scale.
    """
    if isinstance(model, Annealable):
        return model
    low, high = settings.scales
    return model.smoothed(low if low == high else best_scale(model, valid.rows(slice(settings.num_valid)), settings))


def told(estimate: Estimate, model: Any, settings: Any, method: str) -> Estimate:
    """Adds the scale of a generator to its figure, with what it means; a figure of another model omits its settings."""
    if not isinstance(model, Noisy):
        its = {key: value for key, value in estimate.settings.items() if key not in ("scales", "num_valid")}
        return replace(estimate, settings=its)
    tried = scales_tried(settings.scales, settings.num_temperatures)
    is_at_end = len(tried) > 1 and model.noise_scale() in (float(tried[0]), float(tried[-1]))
    warnings = [*estimate.warnings, SMOOTHED, *[AT_END.format(method)] * is_at_end]
    return replace(estimate, diagnostics={**estimate.diagnostics, "scale": model.noise_scale()}, warnings=warnings)


def scales_to(scales: Sequence[float], num: int) -> Float64[Tensor, "scales"]:
    """`num` scales that fall by a constant factor, from FROM times the largest that is tried to the smallest."""
    low, high = scales
    return torch.linspace(math.log(FROM * high), math.log(low), num, dtype=torch.float64).exp()


def scales_tried(scales: Sequence[float], num: int) -> Float64[Tensor, "tried"]:
    """Those of the scales that annealing passes that are within the range; the smallest alone, if it is a point."""
    passed = scales_to(scales, num)
    return passed[passed <= scales[1]] if scales[0] < scales[1] else passed[-1:]


def best_scale(model: Any, valid: Batch, settings: Any) -> float:
    """Returns the scale of a generator, of those tried, at which the mean bound of validation examples is largest."""
    if len(valid.x) == 0:
        raise Unmeasurable(
            "`likelihood.examples` must leave validation examples that are not scored, which select the scale of a "
            "generator, but leaves none: lower it, or set the scale by two equal `scales` of the method"
        )
    passed = scales_to(settings.scales, settings.num_temperatures)

    def of_block(block: Batch) -> Tensor:
        low = float(passed[-1])
        path = tuned(model.smoothed(low).posterior_path(block.x, block.context), (low / passed) ** 2)
        return log_p_at(path, settings.num_chains, passed, block.x[0].numel())

    tried = scales_tried(settings.scales, settings.num_temperatures)
    log_p = torch.cat(of_blocks(of_block, valid, together(settings.num_chains)), 1).mean(1)
    return float(tried[log_p[-len(tried) :].argmax()])


@torch.no_grad()
def log_p_at(
    path: AnnealingPath, num_chains: int, scales: Float64[Tensor, "scales"], dims: int
) -> Float64[Tensor, "scales batch"]:
    """Lower bounds, in the mean, on log p of each example at falling scales, in nats.

    Args:
        path: path to the posterior at the last scale.
        num_chains: number of chains of each example.
        scales: scales of the noise, of which the last is the smallest.
        dims: number of dimensions of x, D.
    """
    betas = torch.cat([scales.new_zeros(1), (scales[-1] / scales) ** 2])
    state, log_w, log_z = path.start(num_chains), torch.zeros((), dtype=torch.float64), []
    for pair in tracked(betas.unfold(0, 2, 1).unbind()):
        state, increment = anneal(path, state, pair)
        log_w = log_w.to(increment.device) + increment
        log_z.append(iwae(log_w))
    log_normaliser = (2 * math.pi * scales**2).log()
    return torch.stack(log_z) + (dims / 2 * (betas[1:] * log_normaliser[-1] - log_normaliser))[:, None].to(log_w)
