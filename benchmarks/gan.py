"""A GAN of vectors of 784 numbers, both players with a step for each batch of 100, through the whole train stage."""

from __future__ import annotations

from functools import partial
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks._compare import Comparison
from benchmarks._loops import batches
from benchmarks._stage import BATCH, Stage

LATENT, HIDDEN, CRITIC = 100, 512, 240
GAN = (
    "model=gan",
    f"model.latent={LATENT}",
    f"model.hidden={HIDDEN}",
    "dataset=mnist",
    "dataset.binarisation=none",
    f"objective.critic.hidden={CRITIC}",
)


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Without validations, since the loop has none; of grey MNIST, if it is at hand."""
    if "dataset=binarized_mnist" not in data:
        return []
    steps = 30 if quick else 800
    stage = Stage([], steps, model=GAN)
    once, anew = (partial(plain, stage.x, steps, is_shared) for is_shared in (True, False))
    return [
        Comparison("GAN, plain torch, both players on one sample", "examples/s", stage.rate, once, ">= 1"),
        Comparison("GAN, plain torch, a sample for each player", "examples/s", stage.rate, anew, ">= 1"),
    ]


def plain(x: Tensor, steps: int, is_shared: bool) -> float:
    """Examples per second of both players as one writes them in an afternoon; dgmrun draws a sample for each."""
    generator = nn.Sequential(
        *(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
        *(nn.Linear(HIDDEN, x.shape[1]), nn.Sigmoid()),
    )
    critic = nn.Sequential(
        *(nn.Linear(x.shape[1], CRITIC), nn.LeakyReLU(0.2), nn.Linear(CRITIC, CRITIC), nn.LeakyReLU(0.2)),
        nn.Linear(CRITIC, 1),
    )
    of_generator, of_critic = (torch.optim.Adam(player.parameters()) for player in (generator, critic))
    data = batches(x)
    start = perf_counter()
    for _ in range(steps):
        v = next(data)
        sample = generator(torch.randn(BATCH, LATENT))
        loss = softplus(-critic(v)).mean() + softplus(critic(sample.detach())).mean()
        of_critic.zero_grad()
        loss.backward()
        of_critic.step()
        if not is_shared:
            sample = generator(torch.randn(BATCH, LATENT))
        loss = softplus(-critic(sample)).mean()
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()
    return steps * BATCH / (perf_counter() - start)
