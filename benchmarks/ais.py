"""Annealed importance sampling of log Z of an RBM with 784 visible and 500 hidden units, 100 chains."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from time import perf_counter

import torch
from torch import Tensor
from torch.nn.functional import softplus

from benchmarks._compare import Comparison
from benchmarks._stage import Stage
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.models.rbm import RBM
from dgmrun.nn.binary import marginal_logits

CHAINS = 100


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Against the estimator as its papers write it down."""
    num = 20 if quick else 500
    setup = Stage(data, steps=1).setup
    model, x = setup.new_model(), setup.training_x[:1000]  # their mean alone is needed, and not what is timed
    ours = partial(seconds, lambda: AIS(CHAINS, num)(model, x))  # type: ignore[arg-type]
    theirs = partial(seconds, lambda: plain(model, marginal_logits(x), CHAINS, num))  # type: ignore[arg-type]
    return [Comparison(f"AIS, {num} temperatures, plain torch", "s", ours, theirs, "<= 0.7")]


def seconds(function: Callable[[], object]) -> float:
    """What one call takes."""
    start = perf_counter()
    function()
    return perf_counter() - start


@torch.no_grad()
def plain(model: RBM, base_logits: Tensor, chains: int, num: int) -> Tensor:
    """log Z from two free energies for each weight and `torch.bernoulli` for each draw, in float32."""
    w, a, b = model.weight, model.visible_bias, model.hidden_bias

    def log_f(v: Tensor, beta: Tensor) -> Tensor:
        return v @ ((1 - beta) * base_logits + beta * a) + softplus(beta * (v @ w + b)).sum(1)

    v = torch.bernoulli(torch.sigmoid(base_logits).expand(chains, -1))
    log_w = torch.zeros(chains)
    for beta, next_beta in pairwise(torch.linspace(0, 1, num)):
        log_w += log_f(v, next_beta) - log_f(v, beta)
        h = torch.bernoulli(torch.sigmoid(next_beta * (v @ w + b)))
        v = torch.bernoulli(torch.sigmoid((1 - next_beta) * base_logits + next_beta * (h @ w.t() + a)))
    log_z_base = softplus(base_logits).sum() + len(b) * math.log(2)
    return log_z_base + log_w.logsumexp(0) - math.log(chains)
