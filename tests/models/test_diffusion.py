"""Diffusion: closed forms of Gaussian data, enumeration of bits, and a bound that depends on the ends of time alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from dgmrun.models.diffusion import Diffusion
from dgmrun.nn.binary import bits
from dgmrun.nn.diffusion import GaussianKernel, signal
from dgmrun.nn.noise import SCHEDULES, Learned
from dgmrun.protocols.values import Batch, Event

REAL = Event((), "real")
DEVIATION = 1.7


class Exact(nn.Module):
    """What a network should learn of data N(0, DEVIATION^2): the mean and variance of x, given z."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, z: Tensor, log_snr: Tensor, c: None) -> Tensor:
        alpha_squared, sigma_squared = log_snr.sigmoid(), (-log_snr).sigmoid()
        w = DEVIATION**2 / (alpha_squared * DEVIATION**2 + sigma_squared)
        return torch.stack((alpha_squared.sqrt() * w * z, w.log()), 1)


def exact(**settings: Any) -> Diffusion:
    model = Diffusion(REAL, predicts="x", variance="learned", width=2, **settings).double()
    model.network = Exact()
    return model


def quadrature() -> tuple[Tensor, Tensor, Tensor]:
    """x, noise, and the weight of each pair, exact for polynomials of low degree."""
    nodes, weight = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(6))
    weight = weight / weight.sum()
    pairs = torch.cartesian_prod(nodes, nodes)
    return DEVIATION * pairs[:, 0], pairs[:, 1], torch.outer(weight, weight).flatten()


@pytest.mark.parametrize("schedule", ["cosine", "linear", "straight", "learned"])
def test_gaussian_data_meet_the_closed_form(schedule: str) -> None:
    """With the exact steps back, what the bound loses is KL(q(z_T) || N(0, 1)) alone."""
    model = exact(steps=30, schedule=schedule)
    x, noise, weight = quadrature()
    grid = model.schedule(torch.arange(1, 31).double() / 30).detach()
    alpha, sigma = signal(grid), signal(-grid)
    found = model.kernel.prior(x, grid[-1])
    for t in range(30):
        z = alpha[t] * x + sigma[t] * noise
        outputs = model.network(z, grid[t].expand(len(z)), None)
        if t == 0:
            found = found + model.kernel.decode(x, z, outputs, grid[0])
        else:
            found = found + model.kernel.step(noise, x, z, outputs, grid[t], grid[t - 1])
    last = Normal(0.0, float((alpha[-1] ** 2 * DEVIATION**2 + sigma[-1] ** 2).sqrt()))
    entropy = 0.5 * math.log(2 * math.pi * math.e * DEVIATION**2)
    lost = float(kl_divergence(last, Normal(0.0, 1.0)))
    assert abs(float(found @ weight) - entropy - lost) < 1e-6
    x = DEVIATION * torch.randn(20_000).double()
    bound = model.bound(Batch(x, torch.arange(len(x)))).detach()
    assert abs(float(bound.mean()) - entropy - lost) < 4 * float(bound.std()) / math.sqrt(len(x))


@pytest.mark.parametrize("schedule", [*SCHEDULES, "learned"])
def test_continuous_time_meets_the_closed_form_too(schedule: str) -> None:
    """With the exact network, by draws of t and z: 4.5 standard errors, false alarms below 1e-5; no heavy tail."""
    model = exact(time="continuous", schedule=schedule)
    x = DEVIATION * torch.randn(50_000).double()
    bound = model.bound(Batch(x, torch.arange(len(x)))).detach()
    end = model.schedule(torch.ones(()).double()).detach()
    last = Normal(0.0, float((end.sigmoid() * DEVIATION**2 + (-end).sigmoid()).sqrt()))
    wanted = 0.5 * math.log(2 * math.pi * math.e * DEVIATION**2) + float(kl_divergence(last, Normal(0.0, 1.0)))
    assert abs(float(bound.mean()) - wanted) < 4.5 * float(bound.std()) / math.sqrt(len(x))
    assert float((bound - bound.mean()).abs().max() / bound.std()) < 20


def test_samples_of_exact_steps_have_the_law_of_the_data() -> None:
    model = exact(steps=200)
    for sampler, steps, bias in (("ancestral", None, 0.0), ("ancestral", 7, 0.0), ("ddim", 100, 0.02)):
        model.sample_by(sampler, steps)
        assert abs(float(model.sample(20_000).std()) - DEVIATION) < 4 * DEVIATION / math.sqrt(40_000) + bias


@pytest.mark.parametrize("kind", ["real", "binary"])
def test_one_step_is_a_vae_with_a_fixed_encoder(kind: str) -> None:
    event = Event((5,), kind)
    model = Diffusion(event, steps=1, schedule="straight", width=4, predicts="x").double()
    log_snr = model.schedule(torch.ones(1).double())
    nn.init.normal_(model.network.last.weight)
    x = (torch.randn(7, 5) > 0).double() if kind == "binary" else torch.randn(7, 5).double()
    torch.manual_seed(0)
    found = model.bound(Batch(x, torch.arange(7)))
    kept, seen = log_snr.sigmoid(), model._seen(x)
    torch.manual_seed(0)
    z, _ = model.kernel.noised(seen, log_snr)
    outputs = model.network(z, log_snr.expand(7), None)[:, 0]
    if kind == "real":
        q: Any = Normal(kept.sqrt() * x, (1 - kept).sqrt())
        p: Any = Normal(0.0, 1.0)
        decoder: Any = Normal(outputs, (1 - kept).sqrt())
    else:
        q, p = Bernoulli((1 + kept * seen) / 2), Bernoulli(torch.tensor(0.5).double())
        decoder = Bernoulli(logits=torch.log((1 + kept) / (1 - kept)) * z + outputs)
    wanted = (kl_divergence(q, p) - decoder.log_prob(x)).sum(1)
    torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_the_bound_of_bits_is_that_of_an_enumerated_chain() -> None:
    """Its mean over all z is at least -log p(x), whose exponentials sum to one, and samples have that law."""
    steps, dims = 3, 2
    model = Diffusion(Event((dims,), "binary"), steps=steps, schedule="cosine", width=4).double()
    nn.init.normal_(model.network.last.weight, std=3)
    states = bits(torch.arange(4), dims).double() * 2 - 1
    grid = model.schedule(torch.arange(1, steps + 1).double() / steps)
    p = torch.full((4,), 0.25).double()
    for t in reversed(range(1, steps)):
        p = p @ _transition(model, states, grid[t], grid[t - 1])
    outputs = model.network(states, grid[0].expand(4), None)
    decoded = -torch.stack([model.kernel.decode(x.expand(4, dims), states, outputs, grid[0]).sum(1) for x in states], 1)
    log_p = (p @ decoded.exp()).log()
    assert abs(float(log_p.logsumexp(0))) < 1e-10
    bound = torch.stack([_enumerated(model, x, states, grid) for x in states])
    assert (bound + log_p > -1e-9).all()
    x = ((states + 1) / 2).repeat_interleave(5000, 0)
    drawn = model.bound(Batch(x, torch.arange(len(x)))).detach().view(4, -1)
    assert ((drawn.mean(1) - bound).abs() < 5 * drawn.std(1) / math.sqrt(5000)).all()
    number = (model.sample(20_000).double() @ torch.tensor([1.0, 2.0]).double()).long()
    frequency = torch.bincount(number, minlength=4) / 20_000
    assert ((frequency - log_p.exp()).abs() < 4.5 * (log_p.exp() / 20_000).sqrt()).all()


def _transition(model: Diffusion, states: Tensor, log_snr: Tensor, before: Tensor) -> Tensor:
    """p(z_s | z_t) of every pair of states, [t, s]."""
    outputs = model.network(states, log_snr.expand(len(states)), None)
    log_p, log_not = model.kernel.stepped(states, outputs, log_snr, before)  # type: ignore[attr-defined]
    return torch.stack([torch.where(s > 0, log_p, log_not).sum(1).exp() for s in states], 1)


def _enumerated(model: Diffusion, x: Tensor, states: Tensor, grid: Tensor) -> Tensor:
    """The mean of the bound at x over all z, with q(z_s | z_t, x) by the rule of Bayes."""
    kept = grid.sigmoid()

    def law(start: Tensor, probability: Tensor) -> Tensor:
        """Probabilities of all states that are kept with this probability."""
        return ((1 + probability * start[..., None, :] * states) / 2).prod(-1)

    outputs = model.network(states, grid[0].expand(4), None)
    found = model.kernel.prior(x, grid[-1]).sum() + law(x, kept[0]) @ model.kernel.decode(
        x.expand(4, -1), states, outputs, grid[0]
    ).sum(1)
    for t in range(1, len(grid)):
        joint = law(x, kept[t - 1])[:, None] * law(states, kept[t] / kept[t - 1])  # [s, t]
        q = joint / joint.sum(0)
        divergence = (q * (q.log() - _transition(model, states, grid[t], grid[t - 1]).t().log())).sum(0)
        found = found + law(x, kept[t]) @ divergence
    return found


@pytest.mark.parametrize("schedule", ["straight", "learned"])
def test_continuous_time_does_not_depend_on_what_is_between_the_ends(schedule: str) -> None:
    """Integrated exactly, by the exact network of Gaussian data; Kingma et al. (2021), equation 18."""
    x, noise, weight = quadrature()
    kernel = GaussianKernel(REAL, "x", "learned")
    changed = Learned().double()
    if schedule == "learned":
        nn.init.normal_(changed.interior, std=0.7)
    nodes, share = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(40))
    pieces = len(changed.interior)
    t = ((torch.arange(pieces)[:, None] + (nodes + 1) / 2) / pieces).flatten()
    log_snr, slopes = (each.detach() for each in changed.draw(t))
    total = torch.zeros(()).double()
    for each, fall, part in zip(log_snr, -slopes, share.repeat(pieces) / (2 * pieces), strict=True):
        z = signal(each) * x + signal(-each) * noise
        outputs = Exact()(z, each.expand(len(z)), None)
        total = total + part * (kernel.rate(noise, z, outputs, each, fall) @ weight)
    ends = changed(torch.tensor([0.0, 1.0]).double()).detach()
    wanted = torch.log1p(DEVIATION**2 * ends.exp()) / 2  # 0.5 log(1 + s^2 SNR): the mutual information of x and z
    assert abs(float(total - (wanted[0] - wanted[1]))) < 1e-6


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_fall(name: str) -> None:
    model = Diffusion(REAL, schedule=name, width=2)
    found = model.schedule(torch.linspace(0, 1, 1001))
    assert found.isfinite().all()
    assert (found.diff() <= 0).all()
    assert float(found[0]) > 8
    assert float(found[-1]) < -4.9


def test_noise_of_a_thousand_steps_is_that_of_ho_et_al() -> None:
    """To a thousandth: theirs is a product over steps, ours a function of time."""
    left = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000).double(), 0)
    found = SCHEDULES["linear"](torch.arange(1, 1001).double() / 1000).sigmoid()
    assert (found - left).abs().max() < 1e-3


def test_a_step_of_a_known_example_is_the_weighted_error_of_the_noise() -> None:
    """Of Ho et al. (2020), equation 12; and all that a network may give mean the same."""
    x, noise = torch.randn(2, 50, 1).double()
    now, before = torch.tensor([-0.4]).double(), torch.tensor([0.5]).double()
    z, guess = signal(now) * x + signal(-now) * noise, torch.randn(50, 1).double()
    found = {}
    for predicts in ("noise", "x", "velocity"):
        guessed_x = (z - signal(-now) * guess) / signal(now)
        out = {"noise": guess, "x": guessed_x, "velocity": signal(now) * guess - signal(-now) * guessed_x}[predicts]
        kernel = GaussianKernel(REAL, predicts, "small")
        found[predicts] = kernel.step(noise, x, z, out[:, None], now, before)
        torch.testing.assert_close(found[predicts], found["noise"])
    alpha, kept = (now.sigmoid() / before.sigmoid()), now.sigmoid()
    variance = (1 - alpha) * (1 - before.sigmoid()) / (1 - kept)
    weight = (1 - alpha) ** 2 / (2 * variance * alpha * (1 - kept))
    torch.testing.assert_close(found["noise"], weight * (noise - guess).square())


@pytest.mark.parametrize(
    "event", [Event((2, 5, 7), "levels", 9), Event((1, 8, 8), "binary"), Event((3,), "real")], ids=str
)
@pytest.mark.parametrize("context", [None, Event((), "categorical", 3)], ids=["", "given"])
def test_every_parameter_gets_a_gradient(event: Event, context: Event | None) -> None:
    model = Diffusion(event, steps=4, width=4, context=context)
    for name, parameter in model.network.named_parameters():
        if name.endswith("weight") and parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.3)
    told = None if context is None else torch.arange(20) % 3
    x = model.sample(20, told)
    assert x.shape == (20, *event.shape)
    assert x.dtype == event.dtype
    model.bound(Batch(x, torch.arange(20), told)).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"steps": 0}, "steps"),
        ({"time": "continuous"}, "time"),
        ({"schedule": "learned"}, "schedule"),
        ({"schedule": "none"}, "schedule"),
        ({"network": "unet"}, "network"),
        ({"width": 1.5}, "width"),
        ({"variance": "huge"}, "variance"),
    ],
)
def test_settings_that_make_no_model_are_named(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"`model.{key}` must"):
        Diffusion(Event((4,), "binary"), **settings)


@pytest.mark.parametrize(
    ("asked", "key"), [(("ddim", None), "sampler"), (("ancestral", 6), "steps"), (("ancestral", 0), "steps")]
)
def test_samplers_that_do_not_exist_are_named(asked: tuple[str, int | None], key: str) -> None:
    with pytest.raises(ValueError, match=f"`sample.{key}` must"):
        Diffusion(Event((4,), "binary"), steps=5).sample_by(*asked)


@pytest.mark.parametrize("size", [2, 42, 250, 256])
def test_probabilities_of_all_levels_sum_to_one(size: int) -> None:
    """Of the decoder, whatever rounding does on the way of levels to [-1, 1] and back."""
    model = Diffusion(Event((1,), "levels", size), steps=1, width=2)
    levels, log_snr = torch.arange(size)[:, None], torch.tensor([2.0])
    z, outputs = torch.full((size, 1), 0.9), torch.zeros(size, 1, 1)
    log_p = -model.kernel.decode(model._seen(levels), z, outputs, log_snr)
    assert abs(float(log_p.logsumexp(0))) < 1e-5


@pytest.mark.parametrize("schedule", [*SCHEDULES, "learned"])
def test_continuous_time_is_finite_at_its_ends(schedule: str) -> None:
    model = Diffusion(REAL, time="continuous", schedule=schedule, width=2)
    t = torch.cat((torch.tensor([0.0, 1e-12, 1e-8, 1e-7, 1 - 1e-7, 1.0]), torch.logspace(-9, -1, 200)))
    log_snr, slopes = model.schedule.draw(t)
    assert log_snr.isfinite().all()
    assert slopes.isfinite().all()


def test_cosine_is_that_of_nichol_and_dhariwal() -> None:
    t = torch.linspace(0.01, 0.99, 99).double()
    left = (torch.cos((t + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)).square()
    torch.testing.assert_close(SCHEDULES["cosine"](t), torch.logit(left), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 5000])
def test_bits_have_finite_bounds_in_any_number_of_steps(steps: int) -> None:
    model = Diffusion(Event((3,), "binary"), steps=steps, width=2)
    assert model.bound(Batch(torch.ones(20_000, 3), torch.arange(20_000))).isfinite().all()


@pytest.mark.parametrize("log_w", [-120.0, 95.0])
def test_variances_of_any_size_have_finite_gradients(log_w: float) -> None:
    kernel = GaussianKernel(REAL, "velocity", "learned")
    outputs = torch.tensor([0.1, log_w]).expand(4, 2).clone().requires_grad_()
    x, noise = torch.randn(2, 4)
    now, before = torch.tensor([-1.0]), torch.tensor([1.0])
    total = kernel.step(noise, x, x, outputs, now, before).sum() + kernel.decode(x, x, outputs, now).sum()
    total.backward()
    assert total.isfinite()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert kernel.back(x, outputs.detach(), now, before, is_ancestral=True).isnan().sum() == 0


@pytest.mark.parametrize("steps", [2000, 100_000])
def test_a_step_without_a_share_is_never_drawn(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the ends of a schedule log-SNR may not fall; a draw may be 0, or be rounded up to 1."""
    model = Diffusion(REAL, steps=steps, schedule="cosine", width=2)
    for extreme in (0.0, 1.0):
        monkeypatch.setattr(torch, "rand", lambda num, value=extreme: torch.full((num,), value))
        assert model.bound(Batch(torch.zeros(64), torch.arange(64))).isfinite().all()
