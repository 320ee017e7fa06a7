"""Generators whose samples have Gaussian noise added, against those whose density is then known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from dgmrun.estimators.likelihood.ais import LatentAIS
from dgmrun.estimators.likelihood.reverse_ais import LatentReverseAIS
from dgmrun.estimators.marginal import lower_bound
from dgmrun.estimators.scale import log_p_at, scales_to, scales_tried, told
from dgmrun.estimators.spacing import geometric
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


def test_uniform_noise_has_no_walls() -> None:
    """Of x = Q z, with orthonormal columns, p(x) is a product: of each uniform unit with noise, and of noise alone."""
    model = linear_generator(12, 10, "uniform")
    with torch.no_grad(), seeded(1, "rotation"):
        rotation = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64))[0]
        model.net[0].weight.copy_(rotation[:, :10])
        model.net[0].bias.zero_()
    x = noisy(model, 200)
    with seeded(3, "ais"):
        bounds, estimate = LatentAIS(4, 60, scales=(SCALE, SCALE))(model, evidence(x))
    y = x.double() @ rotation
    above, below = (Normal(0, 1).cdf((y[:, :10] + side) / SCALE) for side in (1, -1))
    exact = ((above - below) / 2).log().sum(1) + Normal(0, SCALE).log_prob(y[:, 10:]).sum(1)
    assert is_one((bounds - exact).exp())
    assert 0 < (exact - bounds).mean() < 0.8, "else the test has no power"
    assert (estimate.kind, estimate.bias, estimate.quantity) == ("lower_bound", "down", "log_likelihood")
    assert estimate.diagnostics == {"scale": SCALE}
    assert "Gaussian noise" in estimate.warnings[0]


def test_exact_pairs_of_a_generator_bound_it_from_above() -> None:
    """Backwards, weights are unbiased for 1 / p(x)."""
    model, method = linear_generator(), LatentReverseAIS(300, 4, 60, scales=(SCALE, SCALE))
    with seeded(3, "reverse"):
        decoder = method.adapted(model, evidence(torch.zeros(0, 4)).valid)
        x, (u,) = decoder.dream(method.simulates)
        upper, estimate = method(decoder, evidence(x)._replace(latents=u[0]))
    exact = exactly(model, x, SCALE)
    assert is_one((exact - upper).exp())
    assert 0 < (upper - exact).mean() < (estimate.diagnostics["gap"] or 0) < 0.9, "else the test has no power"
    assert estimate.diagnostics["scale"] == SCALE
    assert estimate.settings["spacing"] == "geometric"
    assert "Gaussian noise" in estimate.warnings[-1]


def test_geometric_temperatures_rise_by_a_constant_factor() -> None:
    betas = geometric(101)
    assert betas[[0, 1, -1]].tolist() == pytest.approx([0, 1e-3, 1])
    assert (betas[2:] / betas[1:-1]).std() < 1e-12
    assert geometric(2).tolist() == [0, 1]


def test_a_scale_is_not_selected_on_nothing() -> None:
    model, nothing = linear_generator(), evidence(torch.zeros(0, 4)).batch
    with pytest.raises(ValueError, match=r"`likelihood.examples` must leave validation examples"):
        LatentAIS(scales=(0.1, 1.0)).adapted(model, nothing)


def test_one_annealing_is_unbiased_at_every_scale_that_it_passes() -> None:
    model, scales = linear_generator(), scales_to((0.1, 1.0), 70)
    x = noisy(model, 300)
    with seeded(3, "ais"):
        path = model.smoothed(0.1).posterior_path(x).tuned((0.1 / scales) ** 2, 4)
        found = log_p_at(path, 4, scales, 4)
    exact = torch.stack([exactly(model, x, float(scale)) for scale in scales])
    assert (float(scales[0]), float(scales[-1])) == pytest.approx((4.0, 0.1))
    assert is_one((found - exact).exp())
    assert (exact - found).mean(1).abs().max() < 0.8, "else the test has no power"


def test_the_scale_is_the_best_on_validation_data() -> None:
    model = linear_generator()
    x = noisy(model, 80)
    with seeded(3, "ais"):
        scale = LatentAIS(4, 50, scales=(0.1, 1.0), num_valid=60).adapted(model, evidence(x).valid).scale
    tried = scales_tried((0.1, 1.0), 50).tolist()
    assert max(tried) <= 1
    means = {each: float(exactly(model, x[:60], each).mean()) for each in tried}
    assert means[scale] > max(means.values()) - 0.03, "at most a place beside the best"


@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_scale_at_an_end_of_those_tried_is_told(place: int) -> None:
    method = LatentAIS(1, 20, scales=(0.6, 1.0))
    model = linear_generator().smoothed(float(scales_tried(method.scales, 20)[place]))
    warnings = told(lower_bound(torch.zeros(2).double(), {}), model, method, "likelihood.ais").warnings
    assert [each for each in warnings if "widen `likelihood.ais.scales`" in each] == warnings[1:]
    assert len(warnings) == (1 if place == 1 else 2)


def test_a_generator_is_scored_as_the_decoder_of_a_vae() -> None:
    """With the same network and scale, both paths have the same densities, so that both stand in one table."""
    event = Event((5,), "real")
    vae, gan = VAE(event, [3], [4], scale=0.2), Generator(event, 3, "normal", hidden=4, activation="tanh")
    gan.net.load_state_dict(vae.decoders[0].state_dict())
    x, z = torch.randn(6, 5), torch.randn(7, 6, 3)
    mine, its = gan.smoothed(0.2).posterior_path(x), vae.posterior_path(x)
    torch.testing.assert_close(mine.log_prior(z), its.log_prior(z))
    torch.testing.assert_close(mine.log_likelihood(z), its.log_likelihood(z))


PICTURE = Event((1, 4, 4), "unit")


@pytest.mark.parametrize(
    ("make", "z_of_u"),
    [
        (lambda: Generator(PICTURE, 3, "uniform", context=Event((2,), "real")), lambda u: 2 * Normal(0, 1).cdf(u) - 1),
        (lambda: LaplacianPyramid(PICTURE, hidden=4, maps=2), torch.clone),
        (lambda: ProgressiveGAN(PICTURE, latent=3, hidden=2, context=Event((), "categorical", 3)), torch.clone),
    ],
    ids=["gan", "lapgan", "progressive_gan"],
)
def test_paths_are_of_what_a_generator_makes_of_its_noise(
    make: Callable[[], Generator], z_of_u: Callable[[Tensor], Tensor]
) -> None:
    model = make()
    x, told = torch.rand(5, 1, 4, 4), getattr(model, "context", None)
    context = None if told is None else torch.randn(5, 2) if told.kind == "real" else torch.arange(5) % 3
    path = model.smoothed(0.5).posterior_path(x, context)
    u = path.start(3)
    for chain in range(3):
        of_x = Normal(model.generate(z_of_u(u[chain]), context), 0.5).log_prob(x).flatten(1).sum(1)
        torch.testing.assert_close(path.log_likelihood(u)[chain], of_x)
    torch.testing.assert_close(path.log_prior(u), Normal(0, 1).log_prob(u).sum(-1))


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
