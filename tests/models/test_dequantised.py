"""A dequantised RealNVP against quadrature, and against the transform of a dataset."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions.transforms import ComposeTransform
from torch.func import jacrev

from dgmrun.data.transform import TRANSFORMS, log_jacobian, seen
from dgmrun.models.dequantised import Dequantised
from dgmrun.models.realnvp import FIRST
from dgmrun.protocols.values import Batch, Event
from dgmrun.rng import seeded

CLASSES = Event((), "categorical", 3)


def made(event: Event, **settings: Any) -> Dequantised:
    """A model in double precision whose weights are far from their start."""
    with seeded(0, "dequantised"):
        model = Dequantised(event, feature_maps=3, **settings).double()
        model.initialise(torch.randint(event.size or 2, (50, *event.shape)).double())
        for weight in model.parameters():
            weight.data += 0.2 * torch.randn_like(weight)
    return model.eval()


def states(levels: int) -> Tensor:
    """Every picture of two pixels."""
    return torch.cartesian_prod(torch.arange(levels), torch.arange(levels)).reshape(-1, 1, 1, 2)


def masses(model: Dequantised, k: Tensor, points: int = 24) -> Tensor:
    """log P of pictures of two pixels by quadrature of p(k + u) over the unit square, at midpoints."""
    side = (torch.arange(points).double() + 0.5) / points
    u = torch.cartesian_prod(side, side).reshape(-1, 1, 1, 2)
    uniform = torch.zeros(len(u), dtype=torch.float64)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "_drawn", lambda *given: (u, uniform))
        each = [-model.bound(Batch(one.expand(len(u), 1, 1, 2), torch.arange(len(u)))) for one in k]
    return torch.stack(each).exp().mean(1).log()


def error(draws: Tensor) -> Tensor:
    """Five standard errors of the means over draws, and that of the quadrature."""
    return 5 * draws.std(0) / len(draws) ** 0.5 + 1e-3


@pytest.mark.parametrize(
    ("event", "dequantisation"),
    [(Event((1, 1, 2), "levels", 4), "variational"), (Event((1, 1, 2), "binary"), "uniform")],
)
def test_the_bound_is_below_the_probability_and_its_weights_are_unbiased(event: Event, dequantisation: str) -> None:
    """E_q[p(k + u) / q(u | k)] = P(k), and its logarithm is below on average: by 5 standard errors of 1,000 draws."""
    model, k = made(event, dequantisation=dequantisation), states(event.size or 2)
    log_p = masses(model, k)
    with torch.no_grad():
        bound = model.bound(Batch(k.repeat(1000, 1, 1, 1), torch.arange(1000 * len(k)))).reshape(1000, -1)
    log_w = -bound - log_p
    assert ((log_w.exp().mean(0) - 1).abs() < error(log_w.exp())).all()
    assert (log_w.mean(0) < error(log_w)).all()
    assert float(log_p.exp().sum()) < 1, "the rest lies beyond the levels"


def test_samples_are_of_these_probabilities() -> None:
    """But that those beyond the levels count as the lowest and the highest: no fewer, by 5 standard errors."""
    model, k = made(Event((1, 1, 2), "levels", 4)), states(4)
    x = model.sample(5000)
    assert x.dtype == torch.int64
    found = (x == k[:, None]).flatten(2).all(2).double().T
    p, within = masses(model, k).exp(), ((k > 0) & (k < 3)).flatten(1).all(1)
    assert (found.mean(0) > p - error(found)).all()
    assert ((found.mean(0) - p).abs() < error(found))[within].all()


def test_uniform_dequantisation_is_that_of_the_dataset() -> None:
    """The same noise gives the same bound as transform=logit gives a RealNVP, with its alpha."""
    model = made(Event((1, 4, 4), "levels", 256), dequantisation="uniform", alpha=1e-6)
    k = torch.randint(256, (20, 1, 4, 4))
    torch.manual_seed(3)
    bound = model.bound(Batch(k, torch.arange(20)))
    torch.manual_seed(3)
    u = torch.rand(20, 1, 4, 4, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
    back = ComposeTransform(list(TRANSFORMS["logit"].back))
    x = back.inv(k + u)
    assert seen(back, k + u).dtype == torch.float32
    expected = model.flow.log_prob(x) + log_jacobian(back, x)
    assert torch.allclose(-bound, expected, rtol=0, atol=1e-7)


def test_the_noise_starts_as_uniform_and_is_learned() -> None:
    torch.manual_seed(0)
    event = Event((1, 2, 2), "binary")
    model = Dequantised(event, feature_maps=3)
    k = torch.ones(500, 1, 2, 2)
    with torch.no_grad():
        u, log_q = model._drawn(torch.rand_like(k).logit(), k, None)
    assert log_q.abs().max() < 1e-4
    assert float(u.mean()) == pytest.approx(0.5, abs=5 / (12 * u.numel()) ** 0.5)
    assert [*Dequantised(event, dequantisation="uniform").noise.parameters()] == []


@pytest.mark.parametrize("dequantisation", ["variational", "uniform"])
def test_of_a_single_level_the_bound_is_below_certainty(dequantisation: str) -> None:
    """The probability of the one picture is at most 1."""
    event = Event((1, 2, 2), "levels", 1)
    model = Dequantised(event, feature_maps=2, dequantisation=dequantisation)
    model.initialise(torch.zeros(100, 1, 2, 2))
    bound = model.bound(Batch(torch.zeros(500, 1, 2, 2), torch.arange(500)))
    assert bound.isfinite().all()
    assert bound.mean() > -5 * bound.std() / 500**0.5


def test_noise_is_drawn_for_no_more_examples_than_normalisations_are_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rand, drawn = Dequantised(Event((1, 2, 2), "binary"), feature_maps=2), torch.rand, list[int]()

    def counting(shape: torch.Size, **how: Any) -> Tensor:
        drawn.append(shape[0])
        return rand(shape, **how)

    monkeypatch.setattr(torch, "rand", counting)
    model.initialise(torch.zeros(FIRST + 1, 1, 2, 2))
    assert drawn == [FIRST]


@pytest.mark.parametrize("kind", ["levels", "binary"])
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    model = made(Event((1, 4, 4), kind, 4 if kind == "levels" else None), context=CLASSES).train()
    x = torch.randint(2, (6, 1, 4, 4))
    model.bound(Batch(x, torch.arange(6), torch.arange(6) % 3)).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_the_density_of_the_noise_is_its_volume() -> None:
    """log q(u | k) of one draw, by autograd from the uniform numbers that it is made of."""
    model, k = made(Event((2, 2, 2), "levels", 4)), torch.randint(4, (1, 2, 2, 2)).double()
    uniform = torch.rand(1, 2, 2, 2).double()
    jacobian = jacrev(lambda uniform: model._drawn(uniform.logit(), k, None)[0])(uniform).reshape(8, 8)
    log_q = model._drawn(uniform.logit(), k, None)[1]
    assert torch.allclose(log_q, -torch.linalg.slogdet(jacobian).logabsdet, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dequantisation": "none"}, "`model.dequantisation` must be one of variational, uniform, but is none"),
        ({"alpha": 0.5}, "`model.alpha` must be above 0 and below 0.5"),
        ({"scales": 3}, "`model.scales` must be null or from 1 to 2"),
    ],
)
def test_mistakes(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dequantised(Event((1, 4, 4), "binary"), **settings)
