"""Convolutional networks between images and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from dgmrun.nn.mlp import ACTIVATIONS, linear


def encoder(shape: Sequence[int], width: int, depth: int, outputs: int, activation: str) -> nn.Sequential:
    """Network from images to vectors, in which each convolution halves both sides and doubles the channels.

    Args:
        shape: (channels, height, width) of an image.
        width: number of channels after the first convolution.
        depth: number of convolutions.
        outputs: size of the vectors.
        activation: key of ACTIVATIONS.

    Raises:
        ValueError: the examples are not images, or are too small.
    """
    channels, sides = _plan(shape, width, depth)
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Flatten(), linear(_size(channels, sides), outputs))


def decoder(shape: Sequence[int], width: int, depth: int, inputs: int, activation: str) -> nn.Sequential:
    """Network from vectors to images: the layers of `encoder` in reverse order, transposed."""
    channels, sides = _plan(shape, width, depth)
    layers: list[nn.Module] = [linear(inputs, _size(channels, sides)), nn.Unflatten(1, (channels[-1], *sides[-1]))]
    for place in reversed(range(depth)):
        odd = (sides[place][0] % 2, sides[place][1] % 2)
        up = nn.ConvTranspose2d(channels[place + 1], channels[place], 4, stride=2, padding=1, output_padding=odd)
        layers += [ACTIVATIONS[activation](), up]
    return nn.Sequential(*layers)


def _plan(shape: Sequence[int], width: int, depth: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Returns the channels and the sides before, between and after the convolutions."""
    if len(shape) != 3:
        raise ValueError(f"`model.network` must be mlp but for pictures, and an example is {list(shape)}")
    first, height, wide = shape
    if min(height, wide) >> depth == 0:
        raise ValueError(f"`model.depth` must not halve {height} x {wide} pictures away, but is {depth}")
    sides = [(height >> place, wide >> place) for place in range(depth + 1)]
    return [first, *(width << place for place in range(depth))], sides


def _size(channels: list[int], sides: list[tuple[int, int]]) -> int:
    return channels[-1] * sides[-1][0] * sides[-1][1]
