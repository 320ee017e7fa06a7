"""Laplacian pyramids: a change of variables whose volume is known, and generators that keep to it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dgmrun.models.lapgan import LaplacianPyramid
from dgmrun.nn.pyramid import doubled, halved, halvings, with_means
from dgmrun.protocols.values import Batch, Event

KINDS = pytest.mark.parametrize("kind", ["unit", "real"])


def small(kind: str = "unit", shape: tuple[int, ...] = (2, 4, 8)) -> LaplacianPyramid:
    """Of two levels."""
    return LaplacianPyramid(Event(shape, kind), latent=3, hidden=5, maps=4).double()


def parts(model: LaplacianPyramid, x: Tensor) -> list[Tensor]:
    """What each stage draws of pictures."""
    return [part.x for part in model.staged(Batch(x, torch.arange(len(x))))]


def test_a_pyramid_and_back_is_the_identity() -> None:
    x = torch.randn(3, 2, 8, 12, dtype=torch.float64)
    m, h = halved(x)
    torch.testing.assert_close(doubled(m, h), x, rtol=0, atol=1e-14)
    for given, again in zip((m, h), halved(doubled(m, h)), strict=True):
        torch.testing.assert_close(again, given, rtol=0, atol=1e-14)


def test_details_are_the_residual_in_orthonormal_coordinates() -> None:
    x, other = torch.randn(2, 3, 2, 8, 12, dtype=torch.float64)
    (m, h), (n, k) = halved(x), halved(other)
    r, s = (each - interpolate(mean, scale_factor=2.0) for each, mean in ((x, m), (other, n)))
    torch.testing.assert_close(interpolate(m, size=x.shape[2:]), x - r)
    torch.testing.assert_close((h * k).sum((1, 2, 3)), (r * s).sum((1, 2, 3)))
    assert halved(r)[0].abs().max() < 1e-14


def test_the_volume_of_a_pyramid_is_its_jacobian() -> None:
    model, x = small(), torch.rand(1, 2, 4, 8, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: torch.cat([part.flatten() for part in parts(model, x)]), x)
    assert model.log_volume() == pytest.approx(float(torch.linalg.slogdet(jacobian.reshape(64, 64))[1]), abs=1e-12)
    assert LaplacianPyramid(Event((1, 28, 28), "unit")).log_volume() == pytest.approx(-(14 * 14 + 7 * 7) * math.log(2))


def test_densities_of_stages_are_the_density_of_pixels() -> None:
    """Of N(0, s^2) pixels, details of means of n pixels are N(0, s^2 / n), and so are the coarsest means."""
    model, s = small("real"), 0.7
    x = s * torch.randn(5, 2, 4, 8, dtype=torch.float64)
    scales = (s / 4, s / 4, s / 2, s)
    by_stage = [
        torch.distributions.Normal(0.0, scale).log_prob(part).sum((1, 2, 3))
        for scale, part in zip((scales[0], *scales[2:]), parts(model, x), strict=True)
    ]
    of_pixels = torch.distributions.Normal(0.0, s).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(torch.stack(by_stage).sum(0) + model.log_volume(), of_pixels)


def test_pictures_are_moved_to_given_means_within_their_range() -> None:
    x, m = torch.rand(50, 2, 4, 6, dtype=torch.float64), torch.rand(50, 2, 2, 3, dtype=torch.float64)
    m[0], m[1], x[2], x[3] = 0, 1, 0, 1
    moved = with_means(x, m)
    torch.testing.assert_close(halved(moved[:2])[0], m[:2], rtol=0, atol=1e-14)
    torch.testing.assert_close(halved(moved[4:])[0], m[4:], rtol=0, atol=1e-14)
    assert moved.min() >= 0
    assert moved.max() <= 1
    torch.testing.assert_close(with_means(x[4:], halved(x[4:])[0]), x[4:], rtol=0, atol=1e-14)


@pytest.mark.parametrize("levels", [1, 2])
def test_samples_at_all_levels_fill_a_square_sheet(levels: int) -> None:
    model = LaplacianPyramid(Event((1, 8, 4), "unit"), levels, hidden=2, maps=2)
    shown = model.pictures(Batch(torch.zeros(50, 1, 8, 4), torch.arange(50)))
    each = shown["levels"].unflatten(0, (-1, 1 + levels))
    assert len(shown["levels"]) == (2 * (1 + levels)) ** 2, "two samples in a row of the grid"
    assert torch.equal(each[:, -1], shown["dreams"][: len(each)])
    assert torch.equal(each[:, 0, :, ::2, ::2], each[:, 0, :, 1::2, 1::2])


def test_pictures_of_one_tone_are_moved_with_finite_gradients() -> None:
    x = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 2, 2).clone().requires_grad_()
    m = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).requires_grad_()
    torch.autograd.grad(with_means(x, m).sum(), (x, m))
    for tone in (0.0, 1.0):
        (slope,) = torch.autograd.grad(with_means(x, torch.full((2, 1, 1, 1), tone)).sum(), x)
        assert torch.isfinite(slope).all()


@KINDS
def test_stages_draw_what_the_pyramid_of_a_sample_has(kind: str) -> None:
    model = small(kind)
    z = model.noise(6)
    x = model.generate(z)
    assert x.shape == (6, 2, 4, 8)
    assert kind == "real" or (x.min() >= 0 and x.max() <= 1)
    each = zip(model.stages(), z.split([3, 4 * 4, 4 * 16], 1), model.staged(Batch(x, torch.arange(6))), strict=True)
    for stage, noise, part in each:
        torch.testing.assert_close(stage.generate(noise, part.context), part.x, rtol=0, atol=1e-9)
        assert part.x.shape[1:] == stage.event.shape
        assert part.context is None if stage.context is None else part.context.shape[1:] == stage.context.shape


@KINDS
def test_every_parameter_moves_samples(kind: str) -> None:
    model = small(kind)
    model.generate(model.noise(20)).square().sum().backward()
    assert all(part.grad is not None and part.grad.any() for part in model.parameters())


def test_pictures_are_halved_as_often_as_can_be() -> None:
    assert [halvings((1, *sides)) for sides in ((28, 28), (32, 48), (2, 2), (7, 8))] == [2, 4, 1, 0]
    assert len(LaplacianPyramid(Event((1, 8, 8), "unit"), levels=2, maps=2, hidden=2).stages()) == 3


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((1, 7, 8), {}, "`dataset.event.shape` must have even sides"),
        ((8,), {}, "`dataset.event.shape` must be"),
        ((1, 8, 8), {"levels": 4}, "`model.levels` must be at most 3"),
        ((1, 8, 8), {"levels": 0}, "`model.levels`"),
        ((1, 8, 8), {"maps": 0}, "`model.maps`"),
        ((1, 8, 8), {"convolutions": -1}, "`model.convolutions`"),
        ((1, 8, 8), {"prior": "cauchy"}, "`model.prior`"),
    ],
)
def test_settings_that_make_no_pyramid_are_named(
    shape: tuple[int, ...], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        LaplacianPyramid(Event(shape, "unit"), **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be real or unit"):
        LaplacianPyramid(Event((1, 8, 8), "binary"))
