"""The recurrences of Row LSTM and Diagonal BiLSTM against their equations, and what a pixel sees."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from dgmrun.models.diagonal_bilstm import DiagonalBiLSTM
from dgmrun.models.row_lstm import RowLSTM
from dgmrun.nn import pixel_lstm
from dgmrun.nn.causal import colours
from dgmrun.nn.pixel_layers import Layer
from dgmrun.nn.raster import Raster
from dgmrun.protocols.values import Event

SHAPES = [(3, 4), (4, 2), (1, 3), (3, 1), (1, 1)]
CHANNELS, TOLD = 4, 2
States = dict[tuple[int, int], tuple[Tensor, Tensor]]
"""h and c of each pixel, [batch, states]."""


def given(layer: type[Layer], shape: tuple[int, int]) -> tuple[Layer, Tensor, Tensor]:
    """A layer with random weights, random features h and vectors y, in double precision."""
    torch.manual_seed(0)
    made = layer(colours(CHANNELS, 2), TOLD).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made, torch.randn(3, CHANNELS, *shape).double(), torch.randn(3, TOLD).double()


def step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c after a step, by equation 3."""
    o, f, i, g = gates.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def by_row(layer: pixel_lstm.RowStates, x: Tensor, y: Tensor) -> States:
    """States of a Row LSTM, one pixel after another; x is padded by a column on either side."""
    conv, zero = layer.inputs, torch.zeros(len(x), CHANNELS // 2).double()
    weight, found = (conv.conv.weight * conv.mask)[:, :, 0], States()
    assert conv.told is not None
    for i, j in itertools.product(range(x.shape[2]), range(x.shape[3] - 2)):
        h = torch.cat([found.get((i - 1, k), (zero, zero))[0] for k in (j - 1, j, j + 1)], 1)
        gates = conv.conv.bias + conv.told(y) + h @ layer.states.weight.t()
        for k in range(2):
            gates = gates + x[:, :, i, j + k] @ weight[:, :, k].t()
        found[i, j] = step(gates, found.get((i - 1, j), (zero, zero))[1])
    return found


def by_diagonal(layer: pixel_lstm.Diagonals, x: Tensor, y: Tensor, side: int) -> States:
    """States of one direction of a Diagonal BiLSTM, which comes from the left (-1) or from the right (1)."""
    conv, zero = layer.inputs, torch.zeros(len(x), CHANNELS // 2).double()
    weight, found = (conv.conv.weight * conv.mask)[:, :, 0, 0], States()
    assert conv.told is not None
    for i, j in itertools.product(range(x.shape[2]), range(x.shape[3])[::-side]):
        beside, above = (found.get(pixel, (zero, zero)) for pixel in ((i, j + side), (i - 1, j)))
        h = torch.cat((beside[0], above[0]), 1)
        gates = conv.conv.bias + conv.told(y) + x[:, :, i, j] @ weight.t() + h @ layer.states.weight.t()
        found[i, j] = step(gates, beside[1])
    return found


def added(layer: pixel_lstm.RowStates | pixel_lstm.DiagonalStates, h: Tensor, states: Tensor) -> Tensor:
    """The output of a layer: h + W states, with weights masked by colours."""
    conv = layer.wide
    weight = (conv.conv.weight * conv.mask)[:, :, 0, 0]
    return h + torch.einsum("os, bsij -> boij", weight, states) + conv.conv.bias[:, None, None]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_lstm_follows_its_equations(shape: tuple[int, int]) -> None:
    layer, h, y = given(pixel_lstm.RowStates, shape)
    assert isinstance(layer, pixel_lstm.RowStates)
    found, states = by_row(layer, torch.nn.functional.pad(h, (1, 1)), y), torch.zeros(3, CHANNELS // 2, *shape).double()
    for (i, j), (state, _) in found.items():
        states[:, :, i, j] = state
    torch.testing.assert_close(layer(None, h, y)[1], added(layer, h, states), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_diagonal_bilstm_follows_its_equations(shape: tuple[int, int]) -> None:
    layer, h, y = given(pixel_lstm.DiagonalStates, shape)
    assert isinstance(layer, pixel_lstm.DiagonalStates)
    left, right = by_diagonal(layer.left, h, y, -1), by_diagonal(layer.right, h, y, 1)
    states = torch.zeros(3, CHANNELS // 2, *shape).double()
    for i, j in left:
        states[:, :, i, j] = left[i, j][0] + (right[i - 1, j][0] if i else 0)
    torch.testing.assert_close(layer(None, h, y)[1], added(layer, h, states), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_a_skewed_picture_has_its_diagonals_one_after_another(height: int, width: int) -> None:
    x = torch.arange(2 * 3 * height * width).view(2, 3, height, width)
    skewed = pixel_lstm.skew(x)
    assert torch.equal(pixel_lstm.unskew(skewed, height, width), x)
    diagonals = skewed.split(pixel_lstm.lengths(height, width))
    assert len(diagonals) == height + width - 1
    for step, diagonal in enumerate(diagonals):
        pixels = [x[:, :, i, step - i] for i in range(height) if 0 <= step - i < width]
        assert torch.equal(diagonal, torch.stack(pixels))


def seen(model: Raster, i: int, j: int) -> set[tuple[int, int]]:
    """The pixels that the conditional of pixel (i, j) depends on, by its gradients in x at random weights."""
    torch.manual_seed(0)
    model = model.double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(8, *model.event.shape).double().requires_grad_()
    (gradient,) = torch.autograd.grad(model.conditionals(x).mean[:, 0, i, j].sum(), x)
    return {(k, m) for k, m in gradient.abs().sum((0, 1)).nonzero().tolist()}


PIXELS = list(itertools.product(range(5), range(5)))


@pytest.mark.parametrize(("layers", "first"), [(1, 3), (2, 3), (1, 7)])
@pytest.mark.parametrize("pixel", [(2, 2), (4, 0), (3, 4), (4, 4), (0, 0)])
def test_a_pixel_of_a_diagonal_bilstm_sees_all_before(pixel: tuple[int, int], layers: int, first: int) -> None:
    """But for the last of the row above where the first layer does not reach it: no feature is of what comes after."""
    model = DiagonalBiLSTM(Event((1, 5, 5), "binary"), layers=layers, channels=8, first=first, head=8)
    i, j = pixel
    unseen = {(i - 1, 4)} if j + first // 2 < 4 else set()
    assert seen(model, i, j) == {each for each in PIXELS if each < pixel} - unseen


@pytest.mark.parametrize("layers", [1, 2])
def test_a_pixel_of_a_row_lstm_sees_a_triangle_above(layers: int) -> None:
    """Of its row it sees what convolutions reach, and of each row above one pixel more to either side."""
    model = RowLSTM(Event((1, 5, 5), "binary"), layers=layers, channels=8, first=3, head=8)
    assert seen(model, 4, 0) == {(3, 0), (3, 1), *((2, j) for j in range(3)), *((1, j) for j in range(4)), *PIXELS[:5]}
    unseen = {1: {(4, 0), (4, 1), (3, 0)}, 2: {(4, 0)}}[layers]
    assert seen(model, 4, 4) == set(PIXELS) - unseen - {(4, 4)}
