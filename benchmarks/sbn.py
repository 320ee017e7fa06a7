"""A sigmoid belief network with 784-200-200 units in batches of 100, through the whole train stage."""

from __future__ import annotations

from functools import partial
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks._compare import Comparison
from benchmarks._loops import batches, comparing
from benchmarks._stage import BATCH, Stage

UNITS, NETWORK, DECAY = 200, 100, 0.8
SBN = ("model=sbn", f"model.hidden=[{UNITS},{UNITS}]")


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Without validations, since the loop has none; five samples of reweighted wake-sleep beside one."""
    steps = 30 if quick else 600
    nvil = Stage(data, steps, "objective=nvil", model=SBN)
    one, five = (Stage(data, steps // 3, "objective=rws", f"objective.k={k}", model=SBN) for k in (1, 5))
    return [
        Comparison("NVIL of an SBN, plain torch", "examples/s", nvil.rate, partial(plain, nvil.x, steps), ">= 1"),
        Comparison("RWS, time of k = 5 to k = 1", "examples/s", five.rate, one.rate, "<= 3", lambda k5, k1: k1 / k5),
    ]


def plain(x: Tensor, steps: int) -> float:
    """Examples per second of NVIL, all of its baselines included, as one writes it in an afternoon."""
    q1, q2 = nn.Linear(x.shape[1], UNITS), nn.Linear(UNITS, UNITS)
    p0, p1, prior = nn.Linear(UNITS, x.shape[1]), nn.Linear(UNITS, UNITS), nn.Parameter(torch.zeros(UNITS))
    nets = [nn.Sequential(nn.Linear(n, NETWORK), nn.Tanh(), nn.Linear(NETWORK, 1)) for n in (x.shape[1], UNITS)]
    modules = nn.ModuleList([q1, q2, p0, p1, *nets])
    optimizer = torch.optim.Adam([*modules.parameters(), prior])
    moments = torch.zeros(2, 2)
    data = batches(x)
    start = perf_counter()
    for _ in range(steps):
        v = next(data)
        a1 = q1(2 * v - 1)
        z1 = comparing(torch.sigmoid(a1.detach()))
        a2 = q2(2 * z1 - 1)
        z2 = comparing(torch.sigmoid(a2.detach()))
        log_q1, log_q2 = log_prob(a1, z1), log_prob(a2, z2)
        log_p0, log_p1, log_p2 = log_prob(p0(2 * z1 - 1), v), log_prob(p1(2 * z2 - 1), z1), log_prob(prior, z2)
        upper = log_p1 + log_p2 - log_q2
        residuals = [
            signal.detach() - net(y).squeeze(-1)
            for signal, net, y in zip((log_p0 + upper - log_q1, upper), nets, (v, z1), strict=True)
        ]
        w1, w2 = ((r - c) / s.sqrt().clamp(min=1) for r, c, s in zip(residuals, *moments, strict=True))
        estimate = log_p0 + log_p1 + log_p2 + w1.detach() * log_q1 + w2.detach() * log_q2
        loss = (w1.square() + w2.square() - estimate).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        now = torch.stack([torch.stack((r.mean(), r.var(correction=0))) for r in residuals], 1).detach()
        moments = DECAY * moments + (1 - DECAY) * now
    return steps * BATCH / (perf_counter() - start)


def log_prob(logits: Tensor, z: Tensor) -> Tensor:
    """Of binary units, [batch]."""
    return -binary_cross_entropy_with_logits(logits.expand_as(z), z, reduction="none").sum(-1)
