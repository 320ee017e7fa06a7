"""Generators whose samples have Gaussian noise added, against those whose density is then known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from dgmrun.estimators.likelihood.ais import LatentAIS
from dgmrun.estimators.smoothing import log_p_at, scales_to
from dgmrun.models.gan import Generator
from dgmrun.models.lapgan import LaplacianPyramid
from dgmrun.models.progressive_gan import ProgressiveGAN
from dgmrun.models.vae import VAE
from dgmrun.protocols.values import Batch, Event, Evidence
from dgmrun.rng import seeded

SCALE = 0.3


def linear_generator(dims: int = 4, latent: int = 2, prior: str = "normal") -> Generator:
    """x = W z + b, whose density with noise is N(b, W W' + s^2 I) if z is normal."""
    with seeded(1, "linear generator"):
        model = Generator(Event((dims,), "real"), latent, prior, depth=0)
        torch.nn.init.normal_(model.net[0].weight)
        torch.nn.init.normal_(model.net[0].bias)
    return model


def exactly(model: Generator, x: Tensor, scale: float) -> Tensor:
    """log p(x) of a linear generator with normal z, in float64."""
    weight, bias = model.net[0].weight.detach().double(), model.net[0].bias.detach().double()
    covariance = weight @ weight.T + scale**2 * torch.eye(len(bias), dtype=torch.float64)
    return MultivariateNormal(bias, covariance).log_prob(x.double())


def noisy(model: Generator, num: int) -> Tensor:
    with seeded(2, "examples"):
        return model.sample(num) + SCALE * torch.randn(num, *model.event.shape)


def evidence(x: Tensor) -> Evidence:
    batch = Batch(x, torch.arange(len(x)))
    return Evidence(batch, batch)


def is_one(ratio: Tensor) -> bool:
    return bool((ratio.mean(-1) - 1).abs().le(4 * ratio.std(-1) / math.sqrt(ratio.shape[-1])).all())


def test_weights_are_unbiased_for_the_density_of_a_linear_generator() -> None:
    model = linear_generator()
    x = noisy(model, 400)
    with seeded(3, "ais"):
        bounds, estimate = LatentAIS(4, 60, "cubic", scales=(SCALE, SCALE))(model, evidence(x))
    exact = exactly(model, x, SCALE)
    assert is_one((bounds - exact).exp())
    assert 0 < (exact - bounds).mean() < 0.4, "else the test has no power"
    assert (estimate.kind, estimate.bias, estimate.quantity) == ("lower_bound", "down", "log_likelihood")
    assert estimate.diagnostics == {"scale": SCALE}
    assert "Gaussian noise" in estimate.warnings[0]


def test_uniform_noise_has_walls() -> None:
    """Of x = w z + b with uniform z, p(x) is a difference of normal distribution functions."""
    model = linear_generator(1, 1, "uniform")
    x = noisy(model, 400)
    with seeded(3, "ais"):
        bounds, _ = LatentAIS(4, 60, "cubic", scales=(SCALE, SCALE))(model, evidence(x))
    weight, bias = model.net[0].weight.detach().double().abs(), model.net[0].bias.detach().double()
    ends = [Normal(0, 1).cdf((x.double() - bias + side * weight) / SCALE) for side in (1, -1)]
    assert is_one((bounds - ((ends[0] - ends[1]) / (2 * weight)).log().squeeze(1)).exp())


def test_one_annealing_is_unbiased_at_every_scale_that_it_passes() -> None:
    model, scales = linear_generator(), scales_to((0.1, 1.0), 100)
    x = noisy(model, 300)
    with seeded(3, "ais"):
        path = model.smoothed_path(x, 0.1).tuned((0.1 / scales) ** 2, 4)
        found = log_p_at(path, 4, scales, 4)
    exact = torch.stack([exactly(model, x, float(scale)) for scale in scales])
    assert (float(scales[0]), float(scales[-1])) == pytest.approx((4.0, 0.1))
    assert is_one((found - exact).exp())
    assert (exact - found).mean(1).abs().max() < 0.6, "else the test has no power"


def test_the_scale_is_the_best_on_validation_data() -> None:
    model = linear_generator()
    x = noisy(model, 150)
    mine = evidence(x[:3])._replace(valid=evidence(x).batch)
    with seeded(3, "ais"):
        _, found = LatentAIS(4, 50, scales=(0.1, 1.0), num_valid=100)(model, mine)
        _, narrow = LatentAIS(4, 20, scales=(0.6, 1.0), num_valid=100)(model, mine)
    tried = [float(scale) for scale in scales_to((0.1, 1.0), 50) if scale <= 1]
    means = {scale: float(exactly(model, x[:100], scale).mean()) for scale in tried}
    assert means[found.diagnostics["scale"] or 0] > max(means.values()) - 0.03, "at most a place beside the best"
    assert len(found.warnings) == 1
    assert narrow.diagnostics["scale"] == pytest.approx(0.6)
    assert "widen `likelihood.ais.scales`" in narrow.warnings[1]


def test_a_generator_is_scored_as_the_decoder_of_a_vae() -> None:
    """With the same network and scale, both paths have the same densities, so that both stand in one table."""
    event = Event((5,), "real")
    vae, gan = VAE(event, [3], [4], scale=0.2), Generator(event, 3, "normal", hidden=4, activation="tanh")
    gan.net.load_state_dict(vae.decoders[0].state_dict())
    x, z = torch.randn(6, 5), torch.randn(7, 6, 3)
    mine, its = gan.smoothed_path(x, 0.2), vae.posterior_path(x)
    torch.testing.assert_close(mine.log_prior(z), its.log_prior(z))
    torch.testing.assert_close(mine.log_likelihood(z), its.log_likelihood(z))


PICTURE = Event((1, 4, 4), "unit")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Generator(PICTURE, 3, "uniform", context=Event((2,), "real")),
        lambda: LaplacianPyramid(PICTURE, hidden=4, maps=2),
        lambda: ProgressiveGAN(PICTURE, latent=3, hidden=2, context=Event((), "categorical", 3)),
    ],
    ids=["gan", "lapgan", "progressive_gan"],
)
def test_paths_are_of_what_a_generator_makes_of_its_noise(make: Callable[[], Generator]) -> None:
    model = make()
    x, told = torch.rand(5, 1, 4, 4), getattr(model, "context", None)
    context = None if told is None else torch.randn(5, 2) if told.kind == "real" else torch.arange(5) % 3
    path = model.smoothed_path(x, 0.5, context)
    z = path.start(3)
    for chain in range(3):
        of_x = Normal(model.generate(z[chain], context), 0.5).log_prob(x).flatten(1).sum(1)
        torch.testing.assert_close(path.log_likelihood(z)[chain], of_x)
    of_z = z.new_full(z.shape, -math.log(2)) if z.abs().max() <= 1 else Normal(0, 1).log_prob(z)
    torch.testing.assert_close(path.log_prior(z), of_z.sum(-1))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"scales": (0.2, 0.1)}, "scales"),
        ({"scales": (0.1,)}, "scales"),
        ({"scales": (0.0, 0.1)}, "scales"),
        ({"num_valid": 0}, "num_valid"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=f"`likelihood.ais.{key}`"):
        LatentAIS(**settings)  # type: ignore[arg-type]
