"""A VAE with 784-512-50 units and an IWAE of 50 samples in batches of 100, through the whole train stage."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks._compare import Comparison
from benchmarks._loops import batches
from benchmarks._stage import BATCH, Stage

LATENT, HIDDEN = 50, 512
VAE = ("model=vae", f"model.latent=[{LATENT}]", f"model.hidden=[{HIDDEN}]", "model.depth=1", "model.activation=relu")


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Without validations, since the peers have none."""
    steps, heavy = (100, 10) if quick else (1500, 40)
    elbo = Stage(data, steps, model=VAE)
    iwae = Stage(data, heavy, "objective=iwae", "objective.k=50", model=VAE)
    return [
        Comparison("VAE, plain torch", "examples/s", elbo.rate, partial(plain, elbo.x, steps, 1), ">= 1"),
        Comparison("VAE, pythae", "examples/s", elbo.rate, partial(pythae, elbo.x[: steps * BATCH]), ">= 1.3"),
        Comparison("IWAE-50, plain torch", "examples/s", iwae.rate, partial(plain, iwae.x, heavy, 50), ">= 1"),
    ]


class Plain(nn.Module):
    """A VAE as one writes it in an afternoon.

    Args:
        dims: of x.
        hidden: numbers of units of the hidden layers of the encoder; the decoder has them in reverse.
        activation: of them.
    """

    def __init__(self, dims: int, hidden: Sequence[int] = (HIDDEN,), activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.encoder = layers((dims, *hidden, 2 * LATENT), activation)
        self.decoder = layers((LATENT, *reversed(hidden), dims), activation)

    def forward(self, x: Tensor, k: int) -> Tensor:
        """Minus the ELBO, or minus the importance-weighted bound of `k` samples."""
        mean, log_scale = self.encoder(x).chunk(2, 1)
        noise = torch.randn(k, *mean.shape, device=x.device)
        z = mean + log_scale.exp() * noise
        logits = self.decoder(z)
        log_px = -binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
        if k == 1:
            kl = 0.5 * (mean.square() + (2 * log_scale).exp() - 1 - 2 * log_scale).sum(-1)
            return (kl - log_px).mean()
        log_ratio = (0.5 * noise.square() + log_scale - 0.5 * z.square()).sum(-1)
        return -(torch.logsumexp(log_px + log_ratio, 0) - math.log(k)).mean()


def layers(sizes: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers, with an activation between them."""
    made = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), activation())]
    return nn.Sequential(*made[:-1])


def plain(x: Tensor, steps: int, k: int) -> float:
    """Examples per second of `Plain` in a loop."""
    model = Plain(x.shape[1])
    optimizer = torch.optim.Adam(model.parameters())
    data = batches(x)
    start = perf_counter()
    for _ in range(steps):
        loss = model(next(data), k)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * BATCH / (perf_counter() - start)


def pythae(x: Tensor) -> float:
    """Examples per second of an epoch of pythae's trainer on `x` [N, 784], with its default net, which is ours."""
    from pythae import models, trainers
    from pythae.data.datasets import BaseDataset

    logging.getLogger("pythae").setLevel(logging.ERROR)
    config = models.VAEConfig(input_dim=(x.shape[1],), latent_dim=LATENT, reconstruction_loss="bce")
    with TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        settings = trainers.BaseTrainerConfig(output_dir=folder, per_device_train_batch_size=BATCH, no_cuda=True)
        trainer = trainers.BaseTrainer(
            models.VAE(config), BaseDataset(x, torch.zeros(len(x))), training_config=settings
        )
        trainer.prepare_training()
        start = perf_counter()
        trainer.train_step(epoch=1)
        return len(x) / (perf_counter() - start)
