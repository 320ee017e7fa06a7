"""Traces of latent variable models against what is known of them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from dgmrun.estimators.likelihood.importance import Importance
from dgmrun.latent import draws
from dgmrun.models.linear_vae import LinearVAE
from dgmrun.models.vae import VAE
from dgmrun.nn.binary import log_bernoulli
from dgmrun.protocols.values import Batch, Event, Evidence
from dgmrun.rng import seeded

SCALES = (None, 0.3, "learned", "per_pixel")
BINARY, REAL = Event((1, 6, 5), "binary"), Event((3,), "real")


def linear_vae(latent: int = 2) -> LinearVAE:
    """Some parameters, the columns of W orthogonal."""
    model = LinearVAE(REAL, latent).double()
    weight = torch.tensor([[1.0, 0.5], [1.0, -0.5], [0.0, 0.7]], dtype=torch.float64)[:, :latent]
    weight[:, 1:] -= weight[:, :1] @ (weight[:, :1].t() @ weight[:, 1:]) / weight[:, 0].square().sum()
    model.weight.data.copy_(weight)
    model.mean.data.copy_(torch.tensor([0.3, -0.2, 0.1]))
    model.log_scale.data.fill_(-0.4)
    model.posterior_weight.data.copy_(torch.tensor([[0.5, 0.2, 0.0], [0.1, -0.3, 0.6]])[:latent])
    model.posterior_log_scale.data.fill_(-0.5)
    return model


def with_exact_posterior(model: LinearVAE) -> LinearVAE:
    """Bayes: q(z|x) = N(M^-1 W'(x - mu), sigma^2 M^-1), M = W'W + sigma^2."""
    variance = (2 * model.log_scale.data).exp()
    m = (model.weight.data.t() @ model.weight.data).diagonal() + variance
    model.posterior_weight.data.copy_(model.weight.data.t() / m[:, None])
    model.posterior_log_scale.data.copy_((variance / m).log() / 2)
    return model


def test_density_of_the_linear_vae_is_that_of_its_gaussian() -> None:
    model, x = linear_vae(), torch.randn(5, 3, dtype=torch.float64)
    covariance = model.weight @ model.weight.t() + (2 * model.log_scale).exp() * torch.eye(3)
    centred = x - model.mean
    expected = -0.5 * (
        torch.logdet(2 * math.pi * covariance) + (centred * torch.linalg.solve(covariance, centred.t()).t()).sum(1)
    )
    torch.testing.assert_close(model.log_marginal(x), expected)


def test_every_weight_is_the_density_where_the_posterior_is_exact() -> None:
    model, x = with_exact_posterior(linear_vae()), torch.randn(5, 3, dtype=torch.float64)
    log_w = model.trace(x, draws.sampled(4)).log_w
    torch.testing.assert_close(log_w, model.log_marginal(x).expand(4, -1))


@pytest.mark.parametrize("latent", [[2], [2, 3], [2, 3, 1]])
def test_weights_are_unbiased_for_the_density(latent: list[int]) -> None:
    """The mean of w agrees between the model's own posterior and a local one: both are p(x)."""
    with seeded(1, "vae"):
        model = VAE(Event((2,), "real"), latent, [4] * len(latent), depth=1, scale=0.8).double()
        for parameter in model.encoders.parameters():
            parameter.data *= 0.3  # nearer to the prior: weights whose variance is finite
        x = torch.randn(3, 2, dtype=torch.float64)
        local = torch.zeros_like(model.guess(x))
        own, other = (model.trace(x, draws.sampled(100_000), local=each).log_w.exp() for each in (None, local))
    error = (own.var(0) / len(own) + other.var(0) / len(other)).sqrt()
    assert ((own.mean(0) - other.mean(0)).abs() < 4.5 * error).all()


def test_log_p_and_log_q_are_those_of_the_layers() -> None:
    model, x = VAE(BINARY, [3, 2], [5, 4]), torch.rand(6, *BINARY.shape).round()
    trace = model.trace(x, draws.sampled(7))
    assert [z.shape for z in trace.z] == [(7, 6, 3), (7, 6, 2)]
    prior = Normal(torch.zeros(2), torch.ones(2)).log_prob(trace.z[1]).sum(-1)
    torch.testing.assert_close(trace.log_p[-1], prior)
    probability = model.decode(trace.z[0])
    expected = (x * probability.log() + (1 - x) * torch.log1p(-probability)).flatten(2).sum(-1)
    torch.testing.assert_close(trace.log_px, expected, atol=1e-3, rtol=1e-5)
    assert [each.shape for each in (*trace.log_p, *trace.log_q)] == [(7, 6)] * 5


@pytest.mark.parametrize("network", ["mlp", "convolutional"])
@pytest.mark.parametrize(
    ("shape", "kind", "scale"),
    [
        ((1, 8, 8), "binary", None),
        *(((1, 28, 20), "unit", scale) for scale in SCALES),
        *(((3, 9, 7), "levels", scale) for scale in SCALES),
    ],
)
def test_every_net_and_observation_gives_a_value_to_each_example(
    network: str, shape: tuple[int, ...], kind: str, scale: float | str | None
) -> None:
    model = VAE(Event(shape, kind, 256 if kind == "levels" else None), [2], [4], network=network, scale=scale)
    x, _ = model.dream(5)
    assert x.shape == (5, *shape)
    model.initialise(x)
    assert model.trace(x, draws.sampled(3)).log_w.shape == (3, 5)
    assert {name: each.shape for name, each in model.pictures(Batch(x, torch.arange(5))).items()} == {
        "dreams": x.shape,
        "reconstructions": x.shape,
    }


@pytest.mark.parametrize("network", ["mlp", "convolutional"])
def test_the_first_guess_of_p_of_x_has_the_means_of_the_data(network: str) -> None:
    model = VAE(BINARY, [2], [4], depth=1, network=network)
    means = torch.empty(BINARY.shape).uniform_(0.01, 0.99) if network == "mlp" else torch.full(BINARY.shape, 0.3)
    for parameter in model.decoders.parameters():
        parameter.data.zero_()
    model.initialise(means.expand(10, *BINARY.shape))
    torch.testing.assert_close(model.decode(torch.randn(1, 2, 2))[0, 0], means)


@pytest.mark.parametrize("scale", ["learned", "per_pixel"])
def test_the_first_guess_of_p_of_x_has_the_deviations_of_the_data(scale: str) -> None:
    model, x = VAE(Event((3,), "real"), [2], [4], scale=scale), 1 + 0.2 * torch.randn(500, 3)
    for parameter in model.decoders.parameters():
        parameter.data.zero_()
    model.initialise(x)
    expected = Normal(x.mean(0), (x - x.mean(0)).square().mean().sqrt()).log_prob(x).sum(-1)
    z = torch.randn(1, 500, 2)
    log_px = model.trace(x, draws.given([z])).log_px[0]
    torch.testing.assert_close(log_px, expected)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"latent": [0]}, "latent"),
        ({"latent": 50}, "latent"),
        ({"latent": [2, 2]}, "hidden"),
        ({"hidden": []}, "hidden"),
        ({"depth": -1}, "depth"),
        ({"activation": "sine"}, "activation"),
        ({"activation": ["tanh"]}, "activation"),
        ({"observation": ["bernoulli"]}, "observation"),
        ({"network": "residual"}, "network"),
        ({"posterior": "exact"}, "posterior"),
        ({"observation": "gaussian"}, "observation"),
        ({"scale": 0.1}, "scale"),
        ({"network": "convolutional", "depth": 3}, "depth"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(settings: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=f"`model.{key}`"):
        VAE(BINARY, **settings)  # type: ignore[arg-type]


def test_the_linear_vae_refuses_data_without_a_density() -> None:
    with pytest.raises(ValueError, match=r"`dataset` must be real"):
        LinearVAE(BINARY)


def samples_of(model: LinearVAE, num: int) -> Tensor:
    with seeded(2, "samples"):
        return model.double().sample(num).double()


def test_samples_have_the_moments_of_the_density() -> None:
    model = linear_vae()
    x = samples_of(model, 100_000)
    covariance = model.weight @ model.weight.t() + (2 * model.log_scale).exp() * torch.eye(3)
    assert ((x.mean(0) - model.mean).abs() < 4.5 * (covariance.diagonal() / len(x)).sqrt()).all()
    error = ((covariance.square() + covariance.diagonal()[:, None] * covariance.diagonal()) / len(x)).sqrt()
    assert ((x.t().cov() - covariance).abs() < 4.5 * error).all()


def test_log_bernoulli_and_its_derivative_are_those_of_the_definition() -> None:
    logits = 3 * torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    x = torch.rand(3, 5, dtype=torch.float64).round().requires_grad_()
    expected = torch.distributions.Bernoulli(logits=logits).log_prob(x.expand(4, -1, -1)).sum(-1)
    torch.testing.assert_close(log_bernoulli(logits, x), expected)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(log_bernoulli, (logits, x))
        assert check(lambda each: log_bernoulli(each, x.detach()), (logits,))


CLASSES = Event((), "categorical", 3)


def conditional_vae() -> VAE:
    """Of binary x with 3 dimensions and one latent unit, given one of 3 classes, its parameters far from 0."""
    with seeded(4, "vae"):
        model = VAE(Event((3,), "binary"), [1], [4], depth=1, context=CLASSES).double()
        for parameter in model.parameters():
            parameter.data += 0.5 * torch.randn_like(parameter)
        for parameter in model.encoders.parameters():
            parameter.data *= 0.3  # nearer to the prior: weights whose variance is finite
    return model.requires_grad_(False)


def by_quadrature(model: VAE, x: Tensor, y: Tensor) -> Tensor:
    """log p(x | y), [batch], by the trapezoid rule over z from -8 to 8."""
    z = torch.linspace(-8, 8, 2001, dtype=torch.float64)
    p = model.decode(z[:, None, None].expand(-1, len(x), 1), y)
    log_px = (x * p.log() + (1 - x) * torch.log1p(-p)).sum(-1)
    prior = Normal(torch.zeros(()).double(), torch.ones(()).double()).log_prob(z)
    return torch.trapezoid((log_px + prior[:, None]).exp(), z, dim=0).log()


def test_given_a_class_the_bound_is_just_below_the_quadrature() -> None:
    model, states = conditional_vae(), torch.tensor(list(itertools.product([0.0, 1.0], repeat=3))).double()
    x, y = states.repeat_interleave(3, 0), torch.arange(3).repeat(8)
    truth = by_quadrature(model, x, y)
    torch.testing.assert_close(truth.exp().reshape(8, 3).sum(0), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-6)
    batch = Batch(x, torch.arange(24), y)
    bounds, estimate = Importance(num_samples=5000)(model, Evidence(batch, batch))
    log_w = model.trace(x, draws.sampled(100_000), y).log_w
    w = (log_w - truth).exp()
    error = w.std(0) / math.sqrt(len(w))
    assert ((w.mean(0) - 1).abs() < 4.5 * error).all()
    assert (log_w.mean(0) < truth).all()
    assert (estimate.kind, estimate.bias) == ("lower_bound", "down")
    assert float((truth - bounds).mean()) == pytest.approx(0, abs=0.01)
    elsewhere = model.trace(x, draws.sampled(5000), (y + 1) % 3).log_w.logsumexp(0) - math.log(5000)
    assert float((elsewhere - truth).abs().mean()) > 0.05  # the class matters


def test_samples_given_a_class_follow_the_quadrature() -> None:
    model, num = conditional_vae(), 20_000
    y = torch.arange(3).repeat(num)
    number = (model.sample(len(y), y) @ torch.tensor([4.0, 2, 1], dtype=torch.float64)).long()
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3))).double()
    for each in range(3):
        p = by_quadrature(model, x, torch.full((8,), each)).exp()
        counts = torch.bincount(number[y == each], minlength=8)
        assert ((counts - num * p).abs() < 4 * (num * p * (1 - p)).sqrt()).all()


def test_a_context_must_be_there_just_where_the_model_is_made_for_one() -> None:
    x, y = torch.zeros(2, 3), torch.zeros(2).long()
    for model, context in ((conditional_vae().float(), None), (VAE(Event((3,), "binary"), [1], [4]), y)):
        calls = (
            lambda: model.trace(x, draws.sampled(1), context),  # noqa: B023
            lambda: model.sample(2, context),  # noqa: B023
            lambda: model.decode(torch.zeros(1, 2, 1), context),  # noqa: B023
        )
        for call in calls:
            with pytest.raises(ValueError, match="a context must be"):
                call()
