"""RNADE against quadrature, its own samples, and the flow that an affine autoregressive density is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from dgmrun.models.rnade import FAMILIES, RNADE
from dgmrun.protocols.values import Event


def made(dims: int, **settings: Any) -> RNADE:
    """An RNADE in double precision whose weights are far from their start."""
    torch.manual_seed(0)
    rnade = RNADE(Event((dims,), "real"), hidden=7, **settings).double()
    for weight in rnade.parameters():
        weight.data += 0.2 * torch.randn_like(weight)
    return rnade


@pytest.mark.parametrize("family", FAMILIES)
def test_the_density_integrates_to_one(family: str) -> None:
    rnade = made(2, family=family, components=3, order=[1, 0])
    side = torch.linspace(-16, 16, 1201, dtype=torch.float64)
    with torch.no_grad():
        mass = rnade.log_prob(torch.cartesian_prod(side, side)).exp().sum() * (side[1] - side[0]).square()
    assert float(mass) == pytest.approx(1, abs=1e-3)


def test_each_class_has_a_density_and_samples_of_its_own() -> None:
    """Masses and means by quadrature; 5 standard errors of samples."""
    rnade, num = made(1, components=3, context=Event((), "categorical", 3)), 20_000
    x, y = torch.linspace(-16, 16, 1201, dtype=torch.float64)[:, None], torch.arange(3)
    drawn = rnade.sample(3 * num, y.repeat_interleave(num)).reshape(3, num)
    with torch.no_grad():
        each = torch.stack([rnade.log_prob(x, torch.full((len(x),), one)).exp() for one in range(3)])
    p = each * (x[1] - x[0])
    torch.testing.assert_close(p.sum(1), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-3)
    means = (p * x[:, 0]).sum(1)
    assert ((drawn.mean(1) - means).abs() < 5 * drawn.std(1) / math.sqrt(num) + 1e-3).all()
    assert (torch.pdist(means[:, None]) > 0.01).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_have_its_moments(family: str) -> None:
    """Means and correlations of samples, and of the density by importance sampling; 5 standard errors."""
    rnade = made(2, family=family, components=3, order=[1, 0])
    x = rnade.sample(100_000)
    proposal = torch.distributions.StudentT(3, torch.zeros(2, dtype=torch.float64), 2.0)
    z = proposal.sample((100_000,))
    with torch.no_grad():
        weights = (rnade.log_prob(z) - proposal.log_prob(z).sum(1)).exp()
    for statistic in (lambda x: x[:, 0], lambda x: x[:, 1].tanh(), lambda x: (x[:, 0] * x[:, 1]).tanh()):
        drawn, weighted = statistic(x), statistic(z) * weights
        error = math.hypot(float(drawn.std()), float(weighted.std())) / math.sqrt(100_000)
        assert float(drawn.mean()) == pytest.approx(float(weighted.mean()), abs=5 * error)


def test_an_affine_autoregressive_density_is_a_flow() -> None:
    """With one Gaussian for each dimension, log p(x) is that of the noise u_d = (x_d - mu_d) / sigma_d."""
    rnade = made(5, components=1, order=3)
    rnade.initialise(torch.randn(30, 5) * 4 + 2)
    x = rnade.sample(10)

    def noise(x: Tensor) -> Tensor:
        z = rnade.standardise(x.unsqueeze(0))[:, rnade.order]
        terms = z.unsqueeze(-1) * rnade.weight
        mixture = rnade._conditionals(rnade.hidden_bias + terms.cumsum(1) - terms, slice(None))
        mean, scale = (
            each.squeeze(-1) for each in (mixture.component_distribution.loc, mixture.component_distribution.scale)
        )
        return ((z - mean) / scale)[0]

    u, jacobian = vmap(noise)(x), vmap(jacrev(noise))(x)
    assert bool((jacobian[:, :, rnade.order].triu(1) == 0).all()), "its Jacobian is triangular"
    volume = torch.linalg.slogdet(jacobian).logabsdet
    expected = -0.5 * (u.square() + math.log(2 * math.pi)).sum(1) + volume
    assert torch.allclose(rnade.log_prob(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "`model.hidden` must be at least 1"),
        ({"components": 0}, "`model.components` must be at least 1"),
        ({"family": "cauchy"}, "`model.family` must be gaussian or laplace"),
        ({"order": [0, 0]}, "`model.order` must be"),
    ],
)
def test_mistakes(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RNADE(Event((2,), "real"), **settings)
