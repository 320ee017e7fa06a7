"""A progressively grown WGAN-GP of 28 x 28 pictures, from 7 x 7 on: both players with a step for each batch of 100."""

from __future__ import annotations

import math
from functools import partial
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu, linear

from benchmarks._compare import Comparison
from benchmarks._loops import batches
from benchmarks._stage import BATCH, Stage

LATENT, WIDTHS, LOW, PENALTY = 64, (32, 16, 8), 7, 10.0
PHASE = 3
"""Steps at each resolution, and of each fade-in: the data's is reached after 12."""
GAN = (
    *("model=progressive_gan", f"model.latent={LATENT}", f"model.hidden={WIDTHS[-1]}"),
    *(f"model.fade={PHASE}", f"model.stable={PHASE}", f"objective.critic.hidden={WIDTHS[-1]}"),
    *("dataset=mnist", "dataset.binarisation=none"),
)


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Through all resolutions, without validations, since the loop has none; of grey MNIST, if it is at hand."""
    if "dataset=binarized_mnist" not in data:
        return []
    steps = 15 if quick else 20
    stage = Stage([], steps, model=GAN)
    ours, theirs = stage.rate, partial(plain, stage.x, steps)
    return [Comparison("progressive GAN, plain torch", "examples/s", ours, theirs, ">= 0.95")]


class Conv(nn.Conv2d):
    """A convolution whose weights are scaled as they are used."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        nn.init.normal_(self.weight)
        self.c = math.sqrt(2 / (inputs * kernel**2))

    def forward(self, x: Tensor) -> Tensor:
        """With its leaky rectifier."""
        return leaky_relu(conv2d(x, self.weight * self.c, self.bias, padding=self.padding), 0.2)


class Dense(nn.Linear):
    """The same of a linear layer, without a rectifier."""

    def forward(self, x: Tensor) -> Tensor:
        """Features of x."""
        return linear(x, self.weight * math.sqrt(2 / self.in_features), self.bias)


def normed(x: Tensor) -> Tensor:
    """Pixel norm."""
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


class Generator(nn.Module):
    """Blocks, and a layer from features to pixels for each."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Dense(LATENT, WIDTHS[0] * LOW**2), Conv(WIDTHS[0], WIDTHS[0])
        self.ones = nn.ModuleList(Conv(*pair) for pair in zip(WIDTHS, WIDTHS[1:], strict=False))
        self.twos = nn.ModuleList(Conv(width, width) for width in WIDTHS[1:])
        self.pixels = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in WIDTHS)

    def forward(self, z: Tensor, place: int, alpha: float) -> Tensor:
        """Pictures of 28 x 28 pixels."""
        h = normed(leaky_relu(self.first(normed(z)), 0.2).reshape(-1, WIDTHS[0], LOW, LOW))
        h = before = normed(self.second(h))
        for one, two in zip(self.ones[:place], self.twos[:place], strict=True):
            before, h = h, normed(two(normed(one(interpolate(h, scale_factor=2)))))
        x = torch.sigmoid(self.pixels[place](h))
        if alpha < 1:
            below = torch.sigmoid(self.pixels[place - 1](before))
            x = alpha * x + (1 - alpha) * interpolate(below, scale_factor=2)
        return interpolate(x, scale_factor=4 >> place) if place < 2 else x


class Critic(nn.Module):
    """The same in reverse."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = nn.ModuleList(Conv(1, width, 1) for width in WIDTHS)
        self.ones = nn.ModuleList(Conv(width, width) for width in WIDTHS[1:])
        self.twos = nn.ModuleList(Conv(above, below) for below, above in zip(WIDTHS, WIDTHS[1:], strict=False))
        self.last = Conv(WIDTHS[0] + 1, WIDTHS[0])
        self.dense, self.out = Dense(WIDTHS[0] * LOW**2, WIDTHS[0]), nn.Linear(WIDTHS[0], 1)

    def forward(self, x: Tensor, place: int, alpha: float) -> Tensor:
        """Of pictures of 28 x 28 pixels."""
        x = avg_pool2d(x, 4 >> place) if place < 2 else x
        h = self.pixels[place](x)
        for at in range(place, 0, -1):
            h = avg_pool2d(self.twos[at - 1](self.ones[at - 1](h)), 2)
            if at == place and alpha < 1:
                h = alpha * h + (1 - alpha) * self.pixels[at - 1](avg_pool2d(x, 2))
        deviation = (h.var(0, unbiased=False) + 1e-8).sqrt().mean()
        h = self.last(torch.cat((h, deviation.expand(len(h), 1, LOW, LOW)), 1))
        found: Tensor = self.out(leaky_relu(self.dense(h.flatten(1)), 0.2))
        return found


def now(step: int) -> tuple[int, float]:
    """The higher of the resolutions that are blended, and its weight."""
    phase, since = divmod(step, PHASE)
    if phase >= 4 or phase % 2 == 0 or since == 0:
        return min(2, phase // 2), 1.0
    return phase // 2 + 1, since / PHASE


def blended(x: Tensor, place: int, alpha: float) -> Tensor:
    """Examples as samples are."""
    x = avg_pool2d(x, 4 >> place)
    if alpha < 1:
        x = alpha * x + (1 - alpha) * interpolate(avg_pool2d(x, 2), scale_factor=2)
    return interpolate(x, scale_factor=4 >> place)


def plain(x: Tensor, steps: int) -> float:
    """Examples per second of both players as one writes them from the paper."""
    generator, critic = Generator(), Critic()
    of_generator, of_critic = (torch.optim.Adam(player.parameters()) for player in (generator, critic))
    data = batches(x)
    warm = max(1, steps // 10)
    for step in range(warm + steps):
        if step == warm:
            start = perf_counter()
        v = blended(next(data).reshape(-1, 1, 28, 28), *now(step))
        sample = generator(torch.randn(BATCH, LATENT), *now(step)).detach()
        share = torch.rand(BATCH, 1, 1, 1)
        between = (share * v + (1 - share) * sample).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between, *now(step)).sum(), between, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        loss = critic(sample, *now(step)).mean() - critic(v, *now(step)).mean() + PENALTY * penalty
        of_critic.zero_grad()
        loss.backward()
        of_critic.step()
        loss = -critic(generator(torch.randn(BATCH, LATENT), *now(step)), *now(step)).mean()
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()
    return steps * BATCH / (perf_counter() - start)
