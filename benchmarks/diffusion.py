"""Denoising diffusion of 1,000 steps on 28x28 pixels: a U-Net of 16 channels, the simple loss, and batches of 100."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn.functional import mse_loss

from benchmarks._compare import Comparison
from benchmarks._loops import batches
from benchmarks._stage import BATCH, Stage
from dgmrun.nn.denoiser import DenoisingUNet

SHAPE, STEPS, LEVELS, RATE = (1, 28, 28), 1000, 256, 0.001
MODEL = ("model=diffusion", "model.schedule=linear", "model.predicts=noise", "model.width=16", "model.depth=1")


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """On grey MNIST, with the same network on either side; no validations, since the peer has none."""
    steps = 2 if quick else 40
    grey = ["dataset=mnist", "dataset.binarisation=none", "dataset.transform=levels"]
    model = (*MODEL, "objective.loss=simple", f"optimizer.lr={RATE}")
    ours = Stage(grey, steps, model=model)
    return [Comparison("Diffusion, diffusers", "examples/s", ours.rate, partial(plain, ours.x, steps), ">= 1")]


def plain(x: Tensor, steps: int) -> float:
    """Examples per second of the loop of the tutorial of diffusers, around our network."""
    make: Any = DDPMScheduler
    noise = make(STEPS)
    log_snr = noise.alphas_cumprod.logit()
    network = DenoisingUNet(SHAPE, outputs=1, told=0, width=16, depth=1)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    data = batches(x)
    start = perf_counter()
    for _ in range(steps):
        clean = next(data).reshape(-1, *SHAPE) * (2 / (LEVELS - 1)) - 1
        drawn, t = torch.randn_like(clean), torch.randint(STEPS, (len(clean),))
        noisy = noise.add_noise(clean, drawn, t)
        loss = mse_loss(network(noisy, log_snr[t], None)[:, 0], drawn)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return steps * BATCH / (perf_counter() - start)
