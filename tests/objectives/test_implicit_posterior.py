"""Ratio nets and implicit posteriors where all densities are Gaussian, and so every optimum and gradient is known."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.optim import Adam

from dgmrun.latent.contrast import in_units, logistic_loss, terms
from dgmrun.models.implicit_vae import ImplicitVAE
from dgmrun.nn.implicit import Implicit, RatioNet
from dgmrun.objectives.adversarial.avb import AVB
from dgmrun.objectives.adversarial.lfvi import LFVI
from dgmrun.objectives.base import Optimization
from dgmrun.protocols.values import Batch, Event

OPTIMIZATION = Optimization(partial(Adam, lr=1e-3))
SLOPE, OFFSET, SCALE = 0.8, 0.5, 0.6
"""q(z | x) = N(0.8 x + 0.5, 0.36) of x ~ N(0, 1), beside p(z) = N(0, 1)."""
TRUE = torch.tensor(
    [
        -math.log(SCALE) - OFFSET**2 / (2 * SCALE**2),
        OFFSET / SCALE**2,
        0.5 - 1 / (2 * SCALE**2),
        -SLOPE * OFFSET / SCALE**2,
        -(SLOPE**2) / (2 * SCALE**2),
        SLOPE / SCALE**2,
    ],
    dtype=torch.float64,
)
"""Coefficients of 1, z, z^2, x, x^2 and xz in log q(z | x) - log p(z)."""


def features(x: Tensor, z: Tensor) -> Tensor:
    return torch.stack((torch.ones_like(x), z, z**2, x, x**2, x * z), -1)


def gaussian_pairs(num: int) -> tuple[Tensor, Tensor]:
    """Features of pairs of q and of p, [num, 6] both."""
    x, epsilon, z = torch.randn(3, num, dtype=torch.float64)
    return features(x, SLOPE * x + OFFSET + SCALE * epsilon), features(x, z)


def fitted(of_q: Tensor, of_p: Tensor) -> Tensor:
    """The minimum of the logistic loss in the coefficients."""
    theta = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([theta], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        loss = logistic_loss(of_q @ theta, of_p @ theta)
        loss.backward()
        return loss

    search.step(closure)
    return theta.detach()


def test_a_quadratic_ratio_of_gaussian_pairs_is_found_and_its_mean_is_the_divergence() -> None:
    """Errors are those of an M-estimate, H^-1 S H^-1 / N."""
    of_q, of_p = gaussian_pairs(40_000)
    theta = fitted(of_q, of_p)
    scores = [-torch.sigmoid(-of_q @ TRUE)[:, None] * of_q, torch.sigmoid(of_p @ TRUE)[:, None] * of_p]
    curvature = [torch.sigmoid(f @ TRUE) * torch.sigmoid(-f @ TRUE) for f in (of_q, of_p)]
    hessian = sum(f.t() @ (w[:, None] * f) for f, w in zip((of_q, of_p), curvature, strict=True)) / len(of_q)
    spread = sum(torch.cov(score.t()) for score in scores)
    inverse = torch.linalg.inv(hessian)
    errors = (inverse @ spread @ inverse / len(of_q)).diagonal().sqrt()
    assert ((theta - TRUE).abs() < 4 * errors).all()
    kl = -math.log(SCALE) + (SCALE**2 + SLOPE**2 + OFFSET**2 - 1) / 2
    values = of_q @ TRUE
    assert abs(float(values.mean()) - kl) < 4 * float(values.std()) / math.sqrt(len(values))


def learned(shift: float, scale: float, center: float, deviation: float) -> float:
    """E_q[T] of a ratio net between q = N(shift, scale^2) and a Gaussian, in eight dimensions, after a training."""
    t = RatioNet(nn.Linear(1, 32), 8, 32, 1, "elu")
    search, x = Adam(t.parameters(), lr=0.003), torch.zeros(200, 1)
    r = Normal(torch.full((8,), center), torch.full((8,), deviation))
    for _ in range(300):
        z = shift + scale * torch.randn(1, 200, 8)
        loss = logistic_loss(t(x, in_units(z, r)), t(x, torch.randn(1, 200, 8)))
        search.zero_grad()
        loss.backward()
        search.step()
    with torch.no_grad():
        return float(t(torch.zeros(2000, 1), in_units(shift + scale * torch.randn(1, 2000, 8), r)).mean())


def test_a_ratio_of_distant_densities_is_understated_and_one_with_adaptive_contrast_is_not() -> None:
    shift, scale = 1.5, 0.1
    kl = 8 * (-math.log(scale) + (scale**2 + shift**2 - 1) / 2)
    assert kl > 20
    assert learned(shift, scale, 0.0, 1.0) < 0.75 * kl
    assert learned(shift, scale, shift, scale) == pytest.approx(0, abs=0.1), "the rest of the divergence is exact"


class LinearGaussian(nn.Module):
    """p(z) = N(0, 1), p(x | z) = N(w z, 0.5^2), q(z | x) = N(m x, s^2), and T as it should be, held constant."""

    noise = 0.5

    def __init__(self, is_adaptive: bool, m: float, s: float) -> None:
        super().__init__()
        self.event, self.is_adaptive = Event((1,), "real"), is_adaptive
        self.w, self.m, self.s = (nn.Parameter(torch.tensor(each, dtype=torch.float64)) for each in (1.2, m, s))
        self.unused = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def ratio_parameters(self) -> list[nn.Parameter]:
        return [self.unused]

    def infer(self, x: Tensor, num: int, context: None = None) -> Tensor:
        return self.m * x + self.s * torch.randn(num, *x.shape, dtype=x.dtype)

    def contrasted(self, x: Tensor, num: int, context: None = None) -> tuple[Tensor, Normal]:
        of_prior = Normal(torch.zeros_like(x), torch.ones_like(x))
        r = Normal(self.m.detach() * x + 0.3, 1.5 * self.s.detach().expand_as(x)) if self.is_adaptive else of_prior
        return self.infer(x, num), r

    def log_contrast(self, x: Tensor, u: Tensor, context: None = None) -> Tensor:
        _, r = self.contrasted(x, 1)
        z = r.mean + r.stddev * u
        return (Normal(self.m.detach() * x, self.s.detach()).log_prob(z) - r.log_prob(z)).sum(-1)

    def log_joint(self, x: Tensor, z: Tensor, context: None = None) -> Tensor:
        return (Normal(self.w * z, self.noise).log_prob(x) + Normal(0.0, 1.0).log_prob(z)).sum(-1)

    def simulated(self, num: int) -> tuple[Tensor, Tensor]:
        z = torch.randn(1, num, 1, dtype=torch.float64)
        return z, self.w * z[0] + self.noise * torch.randn(num, 1, dtype=torch.float64)

    def exact_posterior(self, x: Tensor) -> None:
        return None


def mean_gradient(objective: AVB | LFVI, x: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor, Tensor]:
    """The mean over 100 batches of a gradient of the mean cost, and its standard error."""
    found = []
    for _ in range(100):
        costs, _ = objective.costs(Batch(x, torch.arange(len(x))))
        found.append(torch.stack(torch.autograd.grad(costs.mean(), parameters)))
    every = torch.stack(found)
    return every.mean(0), every.std(0) / 10


@pytest.mark.parametrize("is_adaptive", [False, True])
def test_the_gradient_is_that_of_the_bound_in_closed_form_whatever_the_contrast(is_adaptive: bool) -> None:
    model = LinearGaussian(is_adaptive, m=0.4, s=0.7)
    x = torch.full((200, 1), 1.3, dtype=torch.float64)
    w, m, s, v = 1.2, 0.4, 0.7, model.noise**2
    residual = 1.3 * (1 - w * m)
    exact = torch.tensor(
        [
            (-residual * m * 1.3 + w * s**2) / v,
            -residual * w * 1.3 / v + m * 1.3**2,
            w**2 * s / v + s - 1 / s,
        ],
        dtype=torch.float64,
    )
    gradient, error = mean_gradient(AVB(model, OPTIMIZATION), x, [model.w, model.m, model.s])
    assert ((gradient - exact).abs() < 4 * error).all()
    assert (error < 0.1).all()


@pytest.mark.parametrize("is_adaptive", [False, True])
def test_ratios_are_of_samples_of_the_posterior_and_of_what_it_is_contrasted_with(is_adaptive: bool) -> None:
    """Their means are KL(q || r) and -KL(r || q), of Gaussians; those of samples in other units would be neither."""
    model = LinearGaussian(is_adaptive, m=0.4, s=0.7)
    x = torch.full((40_000, 1), 1.3, dtype=torch.float64)
    found = [t.detach() for t in AVB(model, OPTIMIZATION).ratios(Batch(x, torch.arange(len(x))))]
    q = Normal(torch.tensor(0.4 * 1.3, dtype=torch.float64), 0.7)
    r = Normal(q.mean + 0.3, 1.5 * q.stddev) if is_adaptive else Normal(0.0, 1.0)
    for t, mean in zip(found, (kl_divergence(q, r), -kl_divergence(r, q)), strict=True):
        assert t.shape == (1, 40_000)
        assert abs(float(t.mean() - mean)) < 4 * float(t.std()) / math.sqrt(40_000) < 0.1 * float(mean.abs())
    _, terms = AVB(model, OPTIMIZATION).costs(Batch(x, torch.arange(len(x))))
    assert float(terms["log_contrast"]) == pytest.approx(float(kl_divergence(q, r)), rel=0.1)


class Constant(LinearGaussian):
    """T is a parameter at samples of q, and minus it at those of r."""

    def log_contrast(self, x: Tensor, u: Tensor, context: None = None) -> Tensor:
        return self.unused * torch.tensor([[1.0], [-1.0]], dtype=torch.float64)[: len(u)].expand(u.shape[:2])


@pytest.mark.parametrize(("is_adaptive", "cure"), [(True, "raise objective.k"), (False, "set model.contrast=adaptive")])
def test_a_ratio_net_that_is_sure_is_doubted_from_its_mean_loss_on(is_adaptive: bool, cure: str) -> None:
    """Of T = t and -t, the loss is 2 log(1 + exp(-t)): 1.386 at t = 0, and 0.05 at 3.68."""
    model, batch = Constant(is_adaptive, m=0.4, s=0.7), Batch(torch.zeros(5, 1), torch.arange(5))
    for loss, is_doubted in ((0.055, False), (0.045, True)):
        model.unused.data.fill_(-math.log(math.expm1(loss / 2)))
        objective = AVB(model, OPTIMIZATION)
        assert objective.player_loss("ratio", batch)[0].item() == pytest.approx(loss)
        assert objective.doubts() == [], "one batch is too few"
        for _ in range(20):
            objective.player_loss("ratio", batch)
        assert bool(objective.doubts()) == is_doubted
    assert "its loss is 0.045 nats" in objective.doubts()[0]
    assert objective.doubts()[0].endswith(f", or {cure}")
    model.unused.data.zero_()
    for _ in range(20):
        objective.player_loss("ratio", batch)
    assert objective.doubts() == [], "it is a mean over batches"


class OfJoint(LinearGaussian):
    """T of both joint densities, where data are of the simulator."""

    def log_ratio(self, x: Tensor, z: Tensor, context: None = None) -> Tensor:
        log_x = Normal(0 * x, math.sqrt(1.2**2 + self.noise**2)).log_prob(x)
        log_q = Normal(self.m.detach() * x, self.s.detach()).log_prob(z)
        return (log_x + log_q).sum(-1) - self.log_joint(x, z)


def test_the_divergence_of_both_joint_densities_leads_to_the_exact_posterior() -> None:
    """There T is 0; elsewhere its gradient is that of the divergence from the exact posterior."""
    variance = 1 / (1 + 1.2**2 / LinearGaussian.noise**2)
    slope = variance * 1.2 / LinearGaussian.noise**2
    exact, other = OfJoint(False, m=slope, s=math.sqrt(variance)), OfJoint(False, m=0.2, s=0.5)
    _, x = exact.simulated(500)
    of_q, of_p = LFVI(exact, OPTIMIZATION).ratios(Batch(x, torch.arange(500)))
    assert torch.cat((of_q, of_p)).abs().max() < 1e-9
    gradient, error = mean_gradient(LFVI(other, OPTIMIZATION), x, [other.m, other.s])
    expected = torch.stack(((0.2 - slope) / variance * x.square().mean(), torch.tensor(0.5 / variance - 1 / 0.5)))
    assert ((gradient - expected).abs() < 4 * error).all()
    assert (error < 0.1).all()


def of_gaussian(contrast: str) -> tuple[ImplicitVAE, Tensor, MultivariateNormal]:
    """A model whose noise passes no hidden layer, examples, and so its q(z | x), a Gaussian of dependent units."""
    torch.manual_seed(0)
    vae = ImplicitVAE(Event((4,), "binary"), latent=2, hidden=5, noise=3, basis=2, contrast=contrast, ratio_hidden=4)
    vae.posterior = Implicit(vae.posterior.encoder, 2, noise=3, basis=2, depth=0, activation="tanh")
    vae.double()
    x = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 0]], dtype=torch.float64)
    a = vae.posterior.encoder(x).unflatten(-1, (2, 3))
    weight, bias = (part.unflatten(0, (2, 2)) for part in vae.posterior.net.parameters())
    root = torch.einsum("bjk,jkn->bjn", a[..., 1:], weight)
    mean = a[..., 0] + (a[..., 1:] * bias).sum(-1)
    return vae, x, MultivariateNormal(mean, root @ root.mT)


@pytest.mark.parametrize("network", ["mlp", "convolutional"])
def test_of_a_gaussian_posterior_a_ratio_is_one_number_of_each_pair_and_not_linear_in_z(network: str) -> None:
    """With as many pairs as units of T, whose sum over the wrong axis would have a shape that fits."""
    torch.manual_seed(0)
    event = Event((1, 4, 4), "binary")
    vae = ImplicitVAE(event, 2, hidden=5, depth=0, network=network, noise=3, basis=2, ratio_hidden=3)
    x, z = torch.rand(3, 1, 4, 4).round(), torch.randn(7, 3, 2)
    of_z = vae.log_contrast(x, z)
    assert of_z.shape == (7, 3)
    assert vae.log_contrast(x[1:], z[:, 1:]).allclose(of_z[:, 1:], atol=1e-6)
    curved = of_z + vae.log_contrast(x, -z) - 2 * vae.log_contrast(x, 0 * z)
    assert (curved.abs().amax(0) > 1e-3).all()
    assert terms(vae, x, 7).elbo.shape == (7, 3)


def test_moments_of_the_contrast_are_those_of_the_posterior() -> None:
    vae, x, q = of_gaussian("adaptive")
    z, r = vae.contrasted(x, 40_000)
    error = (q.variance / 500).sqrt()
    assert ((r.mean - q.mean).abs() < 4 * error).all()
    assert ((r.variance / q.variance - 1).abs() < 4 * math.sqrt(2 / 500)).all()
    assert ((z.mean(0) - q.mean).abs() < 4 * (q.variance / 40_000).sqrt()).all()
    assert not r.mean.requires_grad
    assert z.requires_grad


def test_adaptive_contrast_leaves_the_bound_what_it_is() -> None:
    """With the exact ratio, sample by sample: log p(x, z) - log q(z | x), whatever r is."""
    found = []
    for contrast in ("adaptive", "prior"):
        vae, x, q = of_gaussian(contrast)
        _, r = vae.contrasted(x, 1)

        class Exact(nn.Module):
            def forward(self, x: Tensor, u: Tensor, q: MultivariateNormal = q, r: Normal = r) -> Tensor:
                z = r.mean + r.stddev * u
                return q.log_prob(z) - r.log_prob(z).sum(-1)

        vae.ratio = Exact()
        torch.manual_seed(1)
        bound = terms(vae, x, 50)
        torch.manual_seed(1)
        z = vae.contrasted(x, 50)[0]
        assert torch.allclose(bound.elbo, vae.log_joint(x, z) - q.log_prob(z), atol=1e-9)
        found.append(bound.elbo)
    assert torch.allclose(*found, atol=1e-9)
