"""Binary units: samples, log-probabilities, and numbering of states."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributions
from torch.nn.functional import softplus

PUBLISHED = {"vishid": "weight", "visbiases": "visible_bias", "hidbiases": "hidden_bias"}
"""Names of the parameters of Boltzmann machines in Salakhutdinov's files, and here."""
TOGETHER = 2**19
"""Number of logits that are processed together: few enough for the cache of a CPU, enough for a GPU."""
HALVINGS = 6
"""2^6 factors, each from 1/2 to 2, share a logarithm: their product is far from the limits of single precision."""


def precise(logits: Tensor) -> Tensor:
    """Converts to single precision or higher: samples drawn in half precision would be biased."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def bernoulli(probability: Tensor) -> Tensor:
    """Draws binary units, faster than `torch.bernoulli` on a CPU; float32 rounds p up to a multiple of 2^-24."""
    return torch.rand_like(probability).lt_(probability)


class Bernoulli(distributions.Bernoulli):
    """Independent binary units with the given logits, sampled by `bernoulli`, in single precision or higher."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=precise(logits), validate_args=False)

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples, 0 or 1."""
        return bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of each unit, right to a rounding error of its logit.

        The part that does not depend on `value` is computed once for all samples.
        """
        log_normaliser, _ = LogPartition.apply(self.logits)
        return value * self.logits - log_normaliser


@distributions.register_kl(Bernoulli, Bernoulli)  # type: ignore[untyped-decorator]
def divergence(q: Bernoulli, p: Bernoulli) -> Tensor:
    """KL(q || p) of each unit; unlike in torch's own version, shapes broadcast."""
    return q.probs * (q.logits - p.logits) + softplus(p.logits) - softplus(q.logits)


def marginal_logits(x: Tensor) -> Tensor:
    """Logits [D] of the smoothed means of x [N, ...], which is binary or the probabilities of binary data."""
    return torch.logit((x.reshape(len(x), -1).sum(0, dtype=torch.float32) + 0.5) / (len(x) + 1))


def bits(index: Tensor, num: int) -> Tensor:
    """The lowest `num` binary digits of `index`, lowest first, [*index.shape, num]."""
    return (index.unsqueeze(-1) >> torch.arange(num, device=index.device)) & 1


def log_partition(logits: Tensor, probability: Tensor) -> Tensor:
    """log(1 + e^logits) = max(logits, 0) - log max(p, 1 - p) for units with probabilities p.

    The error is one absolute rounding error. On a CPU it is three times as fast as `softplus`.
    """
    return logits.clamp(min=0).sub_(likelier(probability).log_())


def likelier(probability: Tensor) -> Tensor:
    """max(p, 1 - p), the probability of the likelier value of each unit."""
    return torch.maximum(probability, 1 - probability)


def sum_of_logs(factors: Tensor) -> Tensor:
    """Sums the logs of factors between 1/2 and 2, [..., D], over the last axis; the factors are overwritten."""
    width = factors.shape[-1]
    for _ in range(HALVINGS):
        half = width // 2
        factors[..., :half].mul_(factors[..., width - half : width])
        width -= half
    return factors[..., :width].log_().sum(-1)


def annealed_bits(logits: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
    r"""Draws hidden units of a Boltzmann machine at `next_beta`, given their logits [chains, H] at 1.

    Returns also what they add to the log-weight, [chains]:
    :math:`\sum_j \log(1 + e^{\beta' l_j}) - \log(1 + e^{\beta l_j})`.
    """
    warm, cold = beta * logits, next_beta * logits
    p_warm, p_cold = torch.sigmoid(warm), torch.sigmoid(cold)
    increment = (log_partition(cold, p_cold) - log_partition(warm, p_warm)).sum(-1)
    return bernoulli(p_cold), increment


class LogPartition(torch.autograd.Function):
    """log(1 + e^logits), computed by `log_partition`; its derivative is the probability that the unit is on."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the values and the probabilities, both of the shape of the logits."""
        probability = torch.sigmoid(logits)
        ctx.save_for_backward(probability)
        ctx.set_materialize_grads(False)
        return log_partition(logits, probability), probability

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Tensor:
        """Gradient in the logits; second derivatives need that of p, too."""
        (probability,) = ctx.saved_tensors
        of_value, of_p = gradients
        found = torch.zeros_like(probability) if of_value is None else of_value * probability
        return found if of_p is None else found + of_p * probability * (1 - probability)


def log_bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """log p of binary x [batch, D] with logits [samples, batch, D], in nats [samples, batch]; see `LogBernoulli`."""
    log_p, _ = LogBernoulli.apply(logits, x)
    return log_p


def _log_bernoulli(logits: Tensor, x: Tensor, probability: Tensor) -> Tensor:
    losses = logits.clamp(min=0).addcmul_(logits, x, value=-1)
    return sum_of_logs(likelier(probability)) - losses.sum(-1)


class LogBernoulli(torch.autograd.Function):
    r"""log p(x) = x'l - sum_d log(1 + e^l_d) of binary x [batch, D] with logits l [samples, batch, D].

    Takes about half the time of `binary_cross_entropy_with_logits` on a CPU, and stores only the probabilities, unless
    x needs a gradient. In half precision, where a probability close to 1 is 1, logits are converted first.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log p in nats [samples, batch], and the probabilities [samples, batch, D]."""
        logits = precise(logits)
        probability = torch.sigmoid(logits)
        ctx.save_for_backward(probability, x, *([logits] if ctx.needs_input_grad[1] else []))
        ctx.set_materialize_grads(False)
        samples = max(1, TOGETHER // x.numel())
        blocks = zip(logits.split(samples), probability.split(samples), strict=True)
        return torch.cat([_log_bernoulli(logit, x, p) for logit, p in blocks]), probability

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Gradients in l and x, with d log p / dl = x - p and d log p / dx = l; second derivatives need that of p."""
        probability, x, *logits = ctx.saved_tensors
        of_log_p, of_p = gradients
        of_x = [(each * of_log_p.unsqueeze(-1)).sum(0) for each in logits if of_log_p is not None]
        found = torch.zeros_like(probability) if of_log_p is None else (x - probability) * of_log_p.unsqueeze(-1)
        return found if of_p is None else found + of_p * probability * (1 - probability), *(of_x or [None])
