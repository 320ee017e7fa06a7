"""RealNVP of pictures against autograd, its own inverse and quadrature."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from dgmrun.models.realnvp import RealNVP
from dgmrun.nn.coupling import EPSILON, NORMS, ActNorm, Chain, Coupling, Squeeze, channelwise, checkerboard
from dgmrun.nn.multiscale import most_scales
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

CLASSES = Event((), "categorical", 3)
SHAPES = [(1, 4, 4), (3, 4, 4), (1, 3, 3), (2, 2, 3)]


def made(shape: tuple[int, ...], **settings: Any) -> RealNVP:
    """A flow in double precision whose weights are far from their start, of data far from zero."""
    with seeded(0, "realnvp"):
        flow = RealNVP(Event(shape, "real"), feature_maps=3, **settings).double()
        for weight in flow.parameters():
            weight.data += 0.2 * torch.randn_like(weight)
        flow.initialise(torch.randn(50, *shape).double() * 3 + 5)
    return flow.eval()


@pytest.mark.parametrize("norm", list(NORMS))
@pytest.mark.parametrize(("shape", "context"), [*((shape, None) for shape in SHAPES), ((1, 4, 4), CLASSES)])
def test_inverse_and_volume(shape: tuple[int, ...], context: Event | None, norm: str) -> None:
    flow = made(shape, context=context, norm=norm)
    x, y = torch.randn(3, *shape).double() * 3 + 5, None if context is None else torch.arange(3)
    c = flow.vector(y, x)

    def noise(x: Tensor, c: Tensor | None) -> Tensor:
        z: Tensor = flow.layers(x.unsqueeze(0), c)[0][0]
        return z

    each = (0, None) if c is None else (0, 0)
    told = None if c is None else c.unsqueeze(1)
    z = vmap(noise, each)(x, told)
    jacobian = vmap(jacrev(noise), each)(x, told).flatten(2)
    expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) + torch.linalg.slogdet(jacobian).logabsdet
    assert torch.allclose(flow.log_prob(x, y), expected, rtol=0, atol=1e-9)
    assert torch.allclose(flow.layers.inverse(z, c), x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", list(NORMS))
def test_the_inverse_in_single_precision(norm: str) -> None:
    flow = made((1, 28, 28), norm=norm).float()
    x = torch.randn(2, 1, 28, 28) + 5
    z, _ = flow.layers(x, None)
    assert z.shape == (2, 784)
    assert torch.allclose(flow.layers.inverse(z, None), x, rtol=0, atol=1e-5)


def test_the_density_of_two_pixels_integrates_to_one() -> None:
    flow = made((1, 1, 2))
    side = torch.linspace(-25, 35, 201, dtype=torch.float64)
    with torch.no_grad():
        mass = flow.log_prob(torch.cartesian_prod(side, side).reshape(-1, 1, 1, 2)).exp().sum()
    assert float(mass * (side[1] - side[0]).square()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("parity", [0, 1])
def test_a_coupling_keeps_what_its_mask_selects_and_looks_at_nothing_else(parity: int) -> None:
    for mask in (checkerboard((4, 3, 3), parity).expand(4, 3, 3), channelwise(4, parity).expand(4, 3, 3)):
        layer = Coupling(mask, 4, 0, 3, 1)
        for weight in layer.parameters():
            weight.data += 0.2 * torch.randn_like(weight)
        x, is_kept = torch.randn(2, 4, 3, 3), mask.bool()
        y = layer(x, None)[0]
        assert torch.equal(y[:, is_kept], x[:, is_kept])
        assert (y != x)[:, ~is_kept].all()
        slope = jacrev(lambda x, layer=layer: layer(x, None)[0][0])(x[:1])[:, :, :, 0]
        others = slope[~is_kept][:, ~is_kept]
        assert torch.equal(others, others.diagonal().diag())
        assert is_kept.sum() * 2 == pytest.approx(is_kept.numel(), abs=4)


def test_squeezed_channels_are_rows_and_columns() -> None:
    x = torch.arange(2 * 4 * 6).reshape(1, 2, 4, 6).float()
    y, log_det = Squeeze()(x, None)
    assert torch.equal(y[:, :4], torch.cat((x[..., ::2, ::2], x[..., ::2, 1::2]), 1)), "the even rows"
    assert torch.equal(y[:, 4:], torch.cat((x[..., 1::2, ::2], x[..., 1::2, 1::2]), 1)), "the odd rows"
    assert torch.equal(Squeeze().inverse(y, None), x)
    assert torch.equal(log_det, torch.zeros(1))


@pytest.mark.parametrize(
    ("shape", "shapes"),
    [
        ((1, 28, 28), [(1, 28, 28), (2, 14, 14), (4, 7, 7)]),
        ((3, 32, 32), [(3, 32, 32), (6, 16, 16), (12, 8, 8), (24, 4, 4), (48, 2, 2)]),
        ((1, 8, 8), [(1, 8, 8), (2, 4, 4), (4, 2, 2)]),
        ((1, 4, 4), [(1, 4, 4), (2, 2, 2)]),
        ((1, 2, 2), [(1, 2, 2)]),
        ((3, 3, 3), [(3, 3, 3)]),
        ((1, 6, 2), [(1, 6, 2)]),
    ],
)
def test_scales(shape: tuple[int, int, int], shapes: list[tuple[int, ...]]) -> None:
    """As many as fit; a picture with an odd side is not halved, and no side becomes one pixel."""
    flow = RealNVP(Event(shape, "real"), feature_maps=1, residual_blocks=0)
    assert flow.layers.shapes == shapes
    assert [sum(isinstance(layer, Coupling) for layer in scale) for scale in flow.layers.scales] == [  # type: ignore[union-attr]
        *[6] * (len(shapes) - 1),
        4,
    ]
    assert flow.sample(2).shape == (2, *shape)
    assert most_scales(shape) == len(shapes)
    assert len(RealNVP(Event(shape, "real"), scales=1).layers.scales) == 1


@pytest.mark.parametrize("norm", ["actnorm", "batch"])
def test_normalisations_start_where_data_have_mean_0_and_deviation_1(norm: str) -> None:
    flow, checked = made((3, 4, 4), norm=norm), 0
    x = torch.randn(200, 3, 4, 4).double() * 2 - 1
    flow.layers.initialise(x, None)
    for scale in flow.layers.scales:
        for layer in scale:  # type: ignore[union-attr]
            x, _ = layer(x, None)
            if isinstance(layer, NORMS[norm]):  # type: ignore[arg-type]
                assert x.mean((0, 2, 3)).abs().max() < 1e-9
                assert (x.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-4
                checked += 1
        x = x.chunk(2, 1)[0]
    assert checked == 10 + (norm == "actnorm"), "that before the first coupling, too"


def test_batches_are_normalised_in_training_and_their_averages_used_in_evaluation() -> None:
    layer = NORMS["batch"](1).double()  # type: ignore[misc]
    x = 3 * torch.randn(500, 1, 2, 2).double() + 7
    y, log_det = layer(x, None)
    assert y.mean().abs() < 1e-9
    assert log_det.allclose(torch.full((500,), -4 * math.log(x.std(correction=0))).double(), atol=1e-5)
    for _ in range(200):
        layer(x, None)
    assert layer.eval()(x, None)[0].allclose(y, atol=1e-6)


@pytest.mark.parametrize("norm", list(NORMS))
def test_every_parameter_gets_a_gradient(norm: str) -> None:
    flow = made((1, 4, 4), norm=norm, context=CLASSES).train()
    flow.log_prob(torch.randn(5, 1, 4, 4).double(), torch.arange(5) % 3).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in flow.parameters())


def test_it_starts_as_independent_gaussians() -> None:
    """Of one mean and deviation in each channel, but that variances have 1e-5 more."""
    x = torch.randn(500, 2, 4, 4).double() * torch.tensor([0.1, 5])[:, None, None] + 1000
    flow = RealNVP(Event((2, 4, 4), "real"), feature_maps=2, norm="none").double()
    flow.initialise(x)
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    law = torch.distributions.Normal(mean[:, None, None], (variance + EPSILON).sqrt()[:, None, None])
    with torch.no_grad():
        assert torch.allclose(flow.log_prob(x), law.log_prob(x).flatten(1).sum(1), rtol=0, atol=1e-9)


def test_a_constant_channel_is_no_obstacle() -> None:
    layers = Chain([ActNorm(2)])
    layers.initialise(torch.stack((torch.randn(9, 2, 2), torch.ones(9, 2, 2)), 1), None)
    assert all(weight.isfinite().all() for weight in layers.parameters())


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((2,), {}, r"`dataset.event.shape` must be \[channels, height, width\]"),
        ((3, 1, 1), {}, "must have two pixels or more"),
        ((1, 28, 28), {"scales": 4}, "`model.scales` must be null or from 1 to 3 for 28 x 28 pixels, but is 4"),
        ((1, 3, 3), {"scales": 0}, "`model.scales` must be null or from 1 to 1"),
        ((1, 4, 4), {"norm": "layer"}, "`model.norm` must be one of actnorm, batch, none, but is layer"),
        ((1, 4, 4), {"residual_blocks": -1}, "`model.residual_blocks` must be a whole number of at least 0"),
        ((1, 4, 4), {"feature_maps": 0}, "`model.feature_maps` must be a whole number of at least 1"),
    ],
)
def test_mistakes(shape: tuple[int, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RealNVP(Event(shape, "real"), **settings)
