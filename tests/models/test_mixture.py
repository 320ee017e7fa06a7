"""Mixtures against enumeration, torch's own, and the parameters that their data were drawn with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from dgmrun.models.mixture import Mixture
from dgmrun.nn.binary import bits
from dgmrun.nn.observation import LEAST_SCALE
from dgmrun.protocols.values import Batch, Event


def made(event: Event, components: int = 3) -> Mixture:
    """A mixture in float64 of unequal components."""
    mixture = Mixture(event, components).double()
    for parameter in mixture.parameters():
        torch.nn.init.normal_(parameter)
    return mixture


def test_bernoullis_sum_to_one_and_samples_follow_them() -> None:
    mixture, num = made(Event((2, 2), "binary")), 40_000
    states = bits(torch.arange(16), 4).double().reshape(-1, 2, 2)
    p = mixture.log_prob(states).exp().detach()
    assert float(p.sum()) == pytest.approx(1, abs=1e-12)
    x = mixture.sample(num)
    number = (x.flatten(1) @ torch.tensor([1.0, 2, 4, 8], dtype=x.dtype)).long()
    assert x.shape == (num, 2, 2)
    assert ((torch.bincount(number, minlength=16) - num * p).abs() < 5 * (num * p * (1 - p)).sqrt()).all()


def test_gaussians_are_those_of_torch() -> None:
    mixture, x = made(Event((3,), "real")), torch.randn(50, 3, dtype=torch.float64)
    mean, log_scale = mixture.output_bias.unbind(-1)
    each = Independent(Normal(mean, log_scale.exp() + LEAST_SCALE), 1)
    same = MixtureSameFamily(Categorical(logits=mixture.weights), each)
    assert torch.allclose(mixture.log_prob(x), same.log_prob(x))
    drawn = mixture.sample(40_000)
    assert ((drawn.mean(0) - same.mean).abs() < 5 * (same.variance / len(drawn)).sqrt()).all()


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_gradients_pass_gradcheck(kind: str) -> None:
    mixture, x = made(Event((3,), kind)), torch.rand(4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *_: mixture.log_prob(x), tuple(mixture.parameters()))
    assert torch.autograd.gradcheck(mixture.log_prob, x.requires_grad_())


def two_kinds(kind: str) -> Tensor:
    """600 examples of two kinds, which are far from each other; every third is of the second."""
    second = torch.arange(600) % 3 == 0
    if kind == "real":
        return torch.randn(600, 4) + torch.where(second, 4.0, -4.0)[:, None]
    return (torch.rand(600, 12) < torch.where(second, 0.9, 0.1)[:, None]).float()


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_training_finds_the_components_as_they_start_unequal(kind: str) -> None:
    """Every third example is of the second kind; 5 standard errors of the mean of its 200 are 0.035 and 0.18."""
    x = two_kinds(kind)
    mixture = Mixture(Event(tuple(x.shape[1:]), kind), components=2)
    mixture.initialise(x)
    start = mixture.log_prob(x).mean()
    optimizer = torch.optim.Adam(mixture.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-mixture.log_prob(x).mean()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert mixture.log_prob(x).mean() > start + 0.5
    assert mixture.weights.softmax(0).max().item() == pytest.approx(2 / 3, abs=0.005)
    means = mixture.pictures(Batch(x, torch.arange(len(x))))["components"].mean(1)
    truth = torch.tensor([0.1, 0.9] if kind == "binary" else [-4.0, 4.0])
    assert torch.allclose(means, truth, atol=0.035 if kind == "binary" else 0.18)


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_it_starts_near_the_data_even_where_nothing_varies(kind: str) -> None:
    x = torch.ones(7, 4)
    mixture = Mixture(Event((4,), kind), components=3)
    mixture.initialise(x)
    assert mixture.log_prob(x).mean() > 4 * torch.tensor(0.9).log()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`model.components`"):
        Mixture(Event((3,), "binary"), components=0)
    with pytest.raises(ValueError, match=r"`dataset`"):
        Mixture(Event((3,), "levels", 4))
