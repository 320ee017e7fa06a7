"""A PixelCNN of 7 residual blocks on 28x28 pixels: training in batches of 100, and samples."""

from __future__ import annotations

from functools import partial
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, conv2d

from benchmarks._compare import Comparison
from benchmarks._loops import batches
from benchmarks._stage import BATCH, Stage
from dgmrun.models import PixelCNN
from dgmrun.protocols import Event

LAYERS, CHANNELS, SAMPLES = 7, 32, 64


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """No validations, since the peer has none; samples of one model, by what is kept and by whole passes."""
    steps, rows = (3, 1) if quick else (40, 4)
    ours = Stage(data, steps, model=("model=pixelcnn", "model.gated=false", "optimizer.lr=0.001"))
    torch.manual_seed(0)
    model = PixelCNN(Event((1, 28, 28), "binary"), gated=False, layers=LAYERS, channels=CHANNELS).eval()
    return [
        Comparison("PixelCNN, masked kernels", "examples/s", ours.rate, partial(plain, ours.x, steps), ">= 1"),
        Comparison("PixelCNN, whole passes", "samples/s", partial(kept, model), partial(whole, model, rows), ">= 20"),
    ]


class Masked(nn.Conv2d):
    """A convolution whose kernel is full, and masked, as most code has it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, sees_itself: bool) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        half = kernel // 2
        mask = torch.ones_like(self.weight)
        mask[:, :, half, half + sees_itself :] = 0
        mask[:, :, half + 1 :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Features of x."""
        return conv2d(x, self.weight * self.get_buffer("mask"), self.bias, padding=self.padding)


class Block(nn.Module):
    """A residual block."""

    def __init__(self) -> None:
        super().__init__()
        half = CHANNELS // 2
        narrow, wide = nn.Conv2d(CHANNELS, half, 1), nn.Conv2d(half, CHANNELS, 1)
        self.net = nn.Sequential(nn.ReLU(), narrow, nn.ReLU(), Masked(half, half, 3, True), nn.ReLU(), wide)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the next block."""
        found: Tensor = self.net(x)
        return x + found


def plain(x: Tensor, steps: int) -> float:
    """Examples per second of the same layers in a plain loop."""
    head = (nn.ReLU(), nn.Conv2d(CHANNELS, 32, 1), nn.ReLU(), nn.Conv2d(32, 1, 1))
    net = nn.Sequential(Masked(1, CHANNELS, 7, False), *(Block() for _ in range(LAYERS)), *head)
    optimizer = torch.optim.Adam(net.parameters(), 0.001)
    data = batches(x)
    start = perf_counter()
    for _ in range(steps):
        v = next(data).reshape(-1, 1, 28, 28)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(net(v), v, reduction="none").flatten(1).sum(1).mean().backward()
        optimizer.step()
    return steps * BATCH / (perf_counter() - start)


def kept(model: PixelCNN) -> float:
    """Samples per second."""
    start = perf_counter()
    model.sample(SAMPLES)
    return SAMPLES / (perf_counter() - start)


@torch.no_grad()
def whole(model: PixelCNN, rows: int) -> float:
    """Samples per second by a pass through the whole picture for each pixel, timed on so many of 28 rows."""
    x = torch.zeros(SAMPLES, 1, 28, 28)
    start = perf_counter()
    for i in range(rows):
        for j in range(28):
            x[:, 0, i, j] = model.conditionals(x).sample()[:, 0, i, j]
    return SAMPLES / (perf_counter() - start) * rows / 28
