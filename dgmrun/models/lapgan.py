r"""Laplacian pyramid of generators: the coarsest picture from noise, then the details of each finer one given it.

.. math:: x_0 = g_0(z_0), \qquad x_k = \mathrm{up}(x_{k-1}) + r_k, \qquad r_k = g_k(z_k, x_{k-1})

where up repeats each pixel in a block of 2 x 2, and the residual r_k has mean 0 in each block. The coarser picture has
the means of blocks, so that the pyramid of x is a change of variables. With h_k, the coordinates of r_k in an
orthonormal basis of its three free dimensions of each block,

.. math:: \log p(x) = \log p(x_0) + \sum_{k=1}^K \log p(h_k | x_{k-1}) - \log 2 \sum_{k=1}^K B_k

where B_k is the number of blocks of x_k, channels counted. None of these densities is known: they are estimated from
samples, one stage at a time, by `fidelity.parzen`.

References:
    Denton, Chintala, Szlam and Fergus (2015), Deep generative image models using a Laplacian pyramid of adversarial
    networks, https://arxiv.org/abs/1506.05751, equation 5 and appendix A. The appendix, too, takes means of blocks;
    generators there see blurred pictures.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dgmrun.models.gan import Generator
from dgmrun.nn.noisy import PRIORS, NoisyGenerator
from dgmrun.nn.pyramid import Level, doubled, halved, halvings
from dgmrun.nn.settings import check_size
from dgmrun.protocols.values import Batch, Event

COLUMNS = 2
"""Number of samples in each row of the picture of levels; each sample is shown at every level."""


class LaplacianPyramid(nn.Module):
    """A generator of pictures, of real numbers or in [0, 1], from coarse to fine.

    Args:
        event: event of one example; it must be a picture with even sides, real or unit.
        levels: number of times that pictures are halved; None for as many as can be.
        latent: number of units of noise z_0 of the coarsest picture; each finer one has one for each pixel and channel.
        prior: distribution of each unit of noise: `uniform` on [-1, 1], or `normal`.
        hidden: number of units of each hidden layer of the network of the coarsest picture.
        depth: number of these layers.
        maps: number of channels of each hidden convolution of the networks of details.
        convolutions: number of these convolutions.
        activation: activation of hidden layers: tanh, relu, leaky_relu, elu or softplus.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> LaplacianPyramid(Event((1, 8, 8), "unit"), hidden=16, maps=4).sample(5).shape
        torch.Size([5, 1, 8, 8])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {"dreams": ("x",), "levels": ("x, coarse to fine",)}

    def __init__(
        self,
        event: Event,
        levels: int | None = None,
        latent: int = 64,
        prior: str = "normal",
        hidden: int = 512,
        depth: int = 2,
        maps: int = 64,
        convolutions: int = 2,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        event.require(("real", "unit"), "a pyramid of generators")
        event.require_picture("a pyramid", "model=gan")
        most = halvings(event.shape)
        if most == 0:
            raise ValueError(
                f"`dataset.event.shape` must have even sides for a pyramid, but is {[*event.shape]}: "
                "model=gan takes others"
            )
        levels = most if levels is None else levels
        check_size("levels", levels, 1)
        if levels > most:
            raise ValueError(
                f"`model.levels` must be at most {most}, by which both sides of {[*event.shape]} can be halved, "
                f"but is {levels}"
            )
        channels, height, width = event.shape
        coarser = [Event((channels, height >> level, width >> level), event.kind) for level in range(levels, 0, -1)]
        self.event = event
        self.coarsest = Generator(coarser[0], latent, prior, "mlp", hidden, depth, activation)
        self.levels = nn.ModuleList(Level(each, PRIORS[prior].draw, maps, convolutions, activation) for each in coarser)

    def stages(self) -> list[Generator | Level]:
        """The generator of the coarsest picture, and those of details, from coarse to fine."""
        return [self.coarsest, *self.levels]

    def staged(self, batch: Batch) -> list[Batch]:
        """Coarsest pictures, and details [batch, 3C, h, w] with the coarser pictures as their contexts."""
        x, parts = batch.x, []
        for _ in self.levels:
            x, details = halved(x)
            parts.append(batch._replace(x=details, context=x))
        return [batch._replace(x=x, context=None), *reversed(parts)]

    def log_volume(self) -> float:
        """Logarithm of the determinant of the pyramid: -log 2 for each block."""
        return -math.log(2) * sum(level.context.dims for level in self.levels)  # type: ignore[union-attr, misc]

    @torch.no_grad()
    def noise(self, num: int) -> Tensor:
        """Samples of z of all stages, [num, units]."""
        return torch.cat([stage.noise(num) for stage in self.stages()], 1)

    def generate(self, noise: Tensor, context: None = None) -> Tensor:
        """Generates x [num, *event.shape] from z, differentiably."""
        return self._run_up(noise)[-1]

    @torch.no_grad()
    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.generate(self.noise(num))

    def _run_up(self, noise: Tensor) -> list[Tensor]:
        """Generates the pictures of all levels, from coarse to fine."""
        first, *others = noise.split([stage.latent for stage in self.stages()], 1)
        pictures = [self.coarsest.generate(first)]
        for level, z in zip(self.levels, others, strict=True):
            x = doubled(pictures[-1], level.generate(z, pictures[-1]))  # type: ignore[operator]
            pictures.append(x.clamp(0, 1) if self.event.kind == "unit" else x)  # they leave it by rounding alone
        return pictures

    def smoothed(self, scale: float) -> NoisyGenerator:
        """The model x = g(z) + `scale` * N(0, I); see `Smoothed`."""
        return NoisyGenerator(self, self.coarsest.prior, scale)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Returns a sample for each example, and all levels of some, coarse to fine; these fill a square."""
        levels = self._run_up(self.noise(len(batch.x)))
        size, shown = self.event.shape[1:], COLUMNS**2 * len(levels)
        each = torch.stack([interpolate(x[:shown], size) for x in levels], 1)
        return {"dreams": levels[-1], "levels": each.flatten(0, 1)}
