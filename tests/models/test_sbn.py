"""Sigmoid belief networks against sums over every state of their units."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from dgmrun.estimators.likelihood.enumeration import Enumeration
from dgmrun.latent.bounds import elbo
from dgmrun.latent.draws import given, sampled
from dgmrun.models.sbn import SBN
from dgmrun.nn.binary import bits
from dgmrun.nn.binary_layers import LAYERS
from dgmrun.protocols.values import Batch, Event, Evidence
from dgmrun.rng import seeded

EVENT, HIDDEN = Event((4,), "binary"), [3, 2]
CLASS = Event((), "categorical", 3)
KINDS = list(itertools.product(LAYERS, LAYERS))


def sbn(prior: str = "factorised", posterior: str = "factorised", **settings: object) -> SBN:
    """One with parameters far from 0, in double precision."""
    with seeded(3, "sbn", prior, posterior):
        model = SBN(EVENT, HIDDEN, prior=prior, posterior=posterior, width=4, **settings).double()  # type: ignore[arg-type]
        for parameter in model.parameters():
            parameter.data += 0.7 * torch.randn_like(parameter)
    return model


def every(model: SBN) -> list[Tensor]:
    """Every z, [states, 1, units] of each layer."""
    z = bits(torch.arange(2 ** model.latent_bits()), model.latent_bits()).double()
    return list(z.unsqueeze(1).split(model.hidden, -1))


def every_x() -> Tensor:
    """Every example, [16, 4]."""
    return bits(torch.arange(2**4), 4).double()


def joint(model: SBN, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """log p(x, z | y) and log q(z | x, y) of every z, [states, batch]."""
    z = [layer.expand(-1, len(x), -1) for layer in every(model)]
    trace = model.trace(x, given(z), y)
    return sum(trace.log_p), sum(trace.log_q)  # type: ignore[return-value]


def test_the_known_value() -> None:
    model = SBN(Event((5,), "binary"), [3]).double()
    i, j = torch.arange(5.0, dtype=torch.float64), torch.arange(3.0, dtype=torch.float64)
    weight = 0.7 * torch.cos(i[:, None] + j)
    decoder = model.get_submodule("decoders.0.net.0")
    decoder.weight.data, decoder.bias.data = weight / 2, 0.1 * torch.sin(i) + weight.sum(1) / 2  # z is seen as -1 and 1
    model.get_parameter("top.net.value").data = torch.tensor([-0.3, 0.2, 0.5], dtype=torch.float64)
    log_p, _ = joint(model, torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0]], dtype=torch.float64))
    assert log_p.logsumexp(0).item() == pytest.approx(-3.972009066435, abs=1e-9)


@pytest.mark.parametrize(("prior", "posterior"), KINDS)
def test_probabilities_sum_to_one(prior: str, posterior: str) -> None:
    log_p, log_q = joint(sbn(prior, posterior, depth=1), every_x())
    assert log_p.exp().sum().item() == pytest.approx(1)
    torch.testing.assert_close(log_q.exp().sum(0), torch.ones(16, dtype=torch.float64))


@pytest.mark.parametrize(("prior", "posterior"), KINDS)
def test_samples_have_the_probabilities_that_they_are_given(prior: str, posterior: str) -> None:
    model, num = sbn(prior, posterior), 50_000
    powers = 2 ** torch.arange(4.0, dtype=torch.float64)
    with seeded(5, "samples"):
        x = model.sample(num)
        z = torch.cat(model.trace(every_x()[:1], sampled(num)).z, -1)[:, 0]
    log_p, log_q = joint(model, every_x())
    for states, exact in ((x @ powers, log_p.exp().sum(0)), (z @ (2 ** torch.arange(5.0).double()), log_q[:, 0].exp())):
        counts = torch.bincount(states.long(), minlength=len(exact))
        error = (exact * (1 - exact) / num).sqrt()
        assert ((counts / num - exact).abs() < 4.8 * error + 1 / num).all()


@pytest.mark.parametrize(("prior", "posterior"), KINDS)
def test_probabilities_given_a_class_sum_to_one(prior: str, posterior: str) -> None:
    x, y = every_x().repeat(3, 1), torch.arange(3).repeat_interleave(16)
    log_p, log_q = joint(sbn(prior, posterior, depth=1, context=CLASS), x, y)
    torch.testing.assert_close(log_p.exp().sum(0).reshape(3, 16).sum(1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(log_q.exp().sum(0), torch.ones(48, dtype=torch.float64))


def test_samples_and_weights_are_those_of_their_class() -> None:
    model, num = sbn("nade", context=CLASS), 20_000
    powers, y = 2 ** torch.arange(4.0, dtype=torch.float64), torch.arange(3)
    with seeded(6, "told"):
        x = model.sample(3 * num, y.repeat_interleave(num)).reshape(3, num, 4)
        w = model.trace(every_x()[5:6].expand(3, -1), sampled(num), y).log_w.exp()
    for each in range(3):
        exact = joint(model, every_x(), torch.full((16,), each))[0].exp().sum(0)
        counts = torch.bincount((x[each] @ powers).long(), minlength=16)
        error = (exact * (1 - exact) / num).sqrt()
        assert ((counts / num - exact).abs() < 4.8 * error + 1 / num).all()
        assert (w[:, each].mean() - exact[5]).abs() < 4.8 * w[:, each].std() / num**0.5


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_every_layer_of_p_and_q_is_told_the_class_but_a_prior_that_is_fixed(alpha: float | None) -> None:
    model, x = sbn(alpha=alpha, context=CLASS), every_x()[5:6].expand(2, -1)
    trace = model.trace(x, lambda _, q: torch.ones(1, *q.batch_shape[-2:], dtype=x.dtype), torch.tensor([0, 2]))
    apart = [bool((part[:, 0] - part[:, 1]).abs().max() > 1e-3) for part in (*trace.log_p, *trace.log_q)]
    assert apart == [True, True, alpha is None, True, True]


def test_the_bound_is_below_by_the_divergence_from_the_posterior() -> None:
    model, x = sbn(), every_x()
    log_p, log_q = joint(model, x)
    trace = model.trace(x, given([layer.expand(-1, len(x), -1) for layer in every(model)]))
    bound = (log_q.exp() * elbo(trace)).sum(0)
    divergence = (log_q.exp() * (log_q - log_p + log_p.logsumexp(0))).sum(0)
    torch.testing.assert_close(bound, log_p.logsumexp(0) - divergence)


def test_a_prior_that_is_fixed_stays() -> None:
    model = SBN(EVENT, HIDDEN, alpha=0.25)
    (top,) = model.top.parameters()
    assert not top.requires_grad
    torch.testing.assert_close(torch.sigmoid(top), torch.full((2,), 0.25))


def test_it_starts_with_the_means_of_the_data() -> None:
    model, x = SBN(EVENT, HIDDEN), torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    model.initialise(x)
    bias = model.get_parameter("decoders.0.net.0.bias")
    torch.testing.assert_close(torch.sigmoid(bias), torch.tensor([0.001, 0.999, 0.5, 0.5]))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"hidden": []}, "hidden"),
        ({"hidden": [3, 0]}, "hidden"),
        ({"alpha": 1.0}, "alpha"),
        ({"alpha": 0.5, "prior": "nade"}, "alpha"),
        ({"alpha": "half"}, "alpha"),
        ({"prior": "made"}, "prior"),
        ({"prior": ["darn"]}, "prior"),
        ({"posterior": "made"}, "posterior"),
        ({"depth": -1}, "depth"),
        ({"width": 0}, "width"),
        ({"activation": "step"}, "activation"),
    ],
)
def test_settings_that_make_no_model_are_named(settings: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=rf"`model\.{key}`"):
        SBN(EVENT, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", LAYERS)
def test_draws_keep_their_probabilities_in_mixed_precision(kind: str) -> None:
    model = SBN(EVENT, [2], prior=kind, posterior=kind, width=4)
    for parameter in model.parameters():
        parameter.data.zero_()
    model.get_parameter("encoders.0.net.0.bias").data.fill_(-7)
    with torch.autocast("cpu", torch.bfloat16):
        trace = model.trace(torch.ones(1, 4), sampled(1_000_000))
    chance = torch.sigmoid(torch.tensor(-7.0))
    assert ((trace.z[0].mean((0, 1)) - chance).abs() < 4.8 * (chance / 1_000_000).sqrt()).all()
    assert torch.isfinite(trace.log_w).all()


def test_only_binary_data_suit_it() -> None:
    with pytest.raises(ValueError, match=r"`dataset` must be binary"):
        SBN(Event((4,), "real"))


@pytest.mark.parametrize(("prior", "posterior"), KINDS)
def test_the_likelihood_by_enumeration_is_the_sum_over_all_layers(prior: str, posterior: str) -> None:
    model = sbn(prior, posterior)
    batch = Batch(every_x(), torch.arange(16))
    found, estimate = Enumeration()(model, Evidence(batch, batch))
    torch.testing.assert_close(found, joint(model, every_x())[0].logsumexp(0).detach())
    assert (estimate.kind, estimate.samples) == ("exact", 32)
