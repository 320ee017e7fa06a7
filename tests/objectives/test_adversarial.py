"""Two players: what their losses are at the optimum of known densities, and who is moved by what."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from dgmrun.models.gan import Generator
from dgmrun.objectives.adversarial.base import Adversarial
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.gan import GAN
from dgmrun.objectives.adversarial.wgan import WGAN
from dgmrun.objectives.adversarial.wgan_gp import WGANGP
from dgmrun.objectives.base import Optimization
from dgmrun.protocols.values import Batch, Event

OPTIMIZATION = Optimization(partial(Adam, lr=1e-3))
PENALTY = 10.0


def made(kind: Callable[..., Adversarial], f: nn.Module | None = None, **settings: object) -> Adversarial:
    """An objective of a small generator of one real number, its critic replaced by `f`."""
    generator = Generator(Event((1,), "real"), latent=2, hidden=4)
    objective = kind(generator, OPTIMIZATION, **{"critic": Critic(hidden=4), **settings}).double()
    objective.critic = objective.critic if f is None else f
    return objective


def critic_of(objective: Adversarial, context: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """The critic of the only game."""
    (game,) = objective.games()
    return game.told(context)


class Function(nn.Module):
    """scale times a function of x [batch, 1]."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.f, self.scale = f, nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """[batch, 1]."""
        return self.scale * self.f(x)


def normal_nodes(shift: float) -> tuple[Tensor, Tensor]:
    """Where a function is to be known for its mean under N(shift, 1), and with which weights."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    return torch.from_numpy(nodes).unsqueeze(1) + shift, torch.from_numpy(weights / math.sqrt(2 * math.pi))


@pytest.mark.parametrize(
    ("shift", "value", "jsd"),
    [
        (0.0, -1.3862943611, 0.0),
        (1.0, -1.163451397, 0.111421482),
        (2.0, -0.712632720, 0.336830820),
        (3.0, -0.332739748, 0.526777307),
    ],
)
def test_the_best_critic_of_shifted_gaussians_pays_what_is_known(shift: float, value: float, jsd: float) -> None:
    game = made(GAN, Function(lambda x: -shift * x + shift**2 / 2))
    (x, w), (sample, v) = normal_nodes(0.0), normal_nodes(shift)
    f = critic_of(game)
    of_x, of_sample = game.payoff(f(x), f(sample))
    payoff = (w * of_x).sum() + (v * of_sample).sum()
    assert payoff.item() == pytest.approx(value, abs=1e-7)
    assert game.divergence(payoff).item() == pytest.approx(jsd, abs=1e-7)
    (slope,) = torch.autograd.grad(payoff, game.critic.scale)
    assert abs(float(slope)) < 1e-7


def penalised(shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grid, the slope on it of the best penalised critic of N(shift, 1), shown as data, against N(0, 1); and G."""
    grid = np.linspace(-8, 8 + shift, 4001)
    share = (np.arange(400) + 0.5) / 400
    scale = np.sqrt(share**2 + (1 - share) ** 2)
    density = np.exp(-(((grid[:, None] - share * shift) / scale) ** 2) / 2) / scale / math.sqrt(2 * math.pi)
    cdf = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))
    difference = cdf(grid) - cdf(grid - shift)
    return grid, 1 + difference / (2 * PENALTY * density.mean(1)), difference


@pytest.mark.parametrize(("shift", "payoff"), [(1.0, 1.0544), (2.0, 2.2103)])
def test_the_best_penalised_critic_has_no_slope_of_one(shift: float, payoff: float) -> None:
    grid, slope, difference = penalised(shift)
    assert np.trapezoid(slope * difference, grid) == pytest.approx(payoff, abs=1e-3)
    if shift == 1:
        assert np.interp(0.5, grid, slope) == pytest.approx(1.040, abs=1e-3)
    values = torch.from_numpy(np.cumsum(slope) * (grid[1] - grid[0]))
    places, slopes = torch.from_numpy(grid), torch.from_numpy(slope)

    def best(x: Tensor) -> Tensor:
        place = torch.searchsorted(places, x.detach().contiguous()).clamp(1, len(grid) - 1)
        return values[place] + slopes[place] * (x - places[place])

    num = 400_000
    x, sample = torch.randn(num, 1, dtype=torch.float64) + shift, torch.randn(num, 1, dtype=torch.float64)
    of_best, of_line = (_pull(Function(f), x, sample) for f in (best, lambda x: x))
    assert abs(of_best[0]) < 4.5 * of_best[1]
    assert of_line[0] < -4.5 * of_line[1], "a critic of slope 1 is pulled to a steeper one"


def _pull(f: Function, x: Tensor, sample: Tensor) -> tuple[float, float]:
    """The mean over parts of the derivative of the critic's loss in the scale of f, and its standard error."""
    game = made(WGANGP, f, penalty=PENALTY)
    slopes = [
        float(torch.autograd.grad(game.critic_loss(critic_of(game), *part), f.scale)[0])
        for part in zip(x.split(4000), sample.split(4000), strict=True)
    ]
    return float(np.mean(slopes)), float(np.std(slopes, ddof=1)) / math.sqrt(len(slopes))


def test_wasserstein_critics_are_paid_by_their_outputs() -> None:
    x, sample = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [1.0]])
    line = Function(lambda x: x)
    for kind in (partial(WGAN, clip=2.0), WGANGP):
        game = made(kind, line)
        f = critic_of(game)
        of_x, of_sample = game.payoff(f(x.double()), f(sample.double()))
        assert game.divergence(of_x.mean() + of_sample.mean()).item() == pytest.approx(1.5)
        assert game.critic_loss(f, x.double(), sample.double()).item() == pytest.approx(-1.5)  # of slope 1: no penalty


def test_clipping_bounds_every_parameter_from_the_first() -> None:
    game = made(WGAN, clip=0.05)
    assert max(float(part.detach().abs().max()) for part in game.critic.parameters()) <= torch.tensor(0.05).item()


def test_weights_of_equalised_layers_are_clipped_as_they_are_used() -> None:
    """Times their constants: drawn from N(0, 1), the weights themselves would all be clipped."""
    model = Generator(Event((1, 8, 8), "real"), latent=2, hidden=4)
    critic = WGAN(model, OPTIMIZATION, Critic("progressive", hidden=4, depth=2), clip=0.1).critic
    layers = [layer for layer in critic.modules() if hasattr(layer, "scale")]
    assert len(layers) == 7
    for layer in layers:
        assert float(layer.scale * layer.weight.detach().abs().max()) == pytest.approx(0.1)


def test_a_critic_that_clipping_made_constant_is_told_in_words() -> None:
    game = made(WGAN, Function(lambda x: 1 + 1e-17 * x), clip=2.0)
    game.iteration = 100
    for _ in range(30):
        game.player_loss("critic", Batch(torch.randn(8, 1, dtype=torch.float64), torch.arange(8)))
    (doubt,) = game.doubts()
    assert "raise objective.clip" in doubt
    game.rank_state["moments"] *= 0.01
    assert game.doubts() == [], "too little was seen"


@pytest.mark.parametrize(
    ("f", "is_constant"),
    [
        (lambda x: 1e-9 * x, False),
        (lambda x: 1 + 1e-9 * x, False),
        (lambda x: 1 + 1e-17 * x, True),
        (torch.ones_like, True),
        (torch.zeros_like, True),
    ],
)
def test_a_critic_is_constant_if_its_payoff_is_of_rounding(f: Callable[[Tensor], Tensor], is_constant: bool) -> None:
    """In any unit of x, and whatever the sign of the payoff: it cancels in the mean over these batches."""
    game = made(WGAN, Function(f), clip=2.0)
    x, sample = torch.tensor([[1.0], [3.0]]).double(), torch.tensor([[0.0], [1.0]]).double()
    for pair in [(x, sample), (sample, x)] * 10:
        game.critic_loss(critic_of(game), *pair)
    assert bool(game.critic_doubts(0.0)) == is_constant


def test_the_minimax_gradient_vanishes_where_the_critic_is_sure_and_the_others_do_not() -> None:
    f = torch.tensor([-20.0, -25.0], dtype=torch.float64, requires_grad=True)
    slopes = {
        name: float(torch.autograd.grad(game.generator_loss(f), f)[0].norm())
        for name, game in {
            "minimax": made(GAN, loss="minimax"),
            "non_saturating": made(GAN),
            "wgan": made(WGAN),
        }.items()
    }
    assert slopes["minimax"] < 1e-8
    assert slopes["non_saturating"] == pytest.approx(0.5 * math.sqrt(2), abs=1e-6)
    assert slopes["wgan"] == pytest.approx(0.5 * math.sqrt(2))


def test_a_sample_is_pulled_up_the_critic_by_what_the_loss_makes_of_its_slope() -> None:
    sample = torch.tensor([[-3.0], [0.5]], dtype=torch.float64)
    line = Function(lambda x: 2 * x)
    f = 2 * sample
    for game, share in (
        (made(GAN), torch.sigmoid(-f)),
        (made(GAN, loss="minimax"), torch.sigmoid(f)),
        (made(WGANGP), torch.ones_like(f)),
    ):
        game.critic = line
        assert torch.allclose(game.pull(critic_of(game), sample), 2 * share)
    assert line.scale.requires_grad


def test_smoothing_moves_the_best_output_and_r1_adds_the_squared_slope() -> None:
    x = torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    constant = Function(lambda x: 0 * x + math.log(9.0))
    game = made(GAN, constant, smoothing=0.1)
    f = critic_of(game)
    of_sample = game.payoff(f(x), f(x))[1].mean()
    (slope,) = torch.autograd.grad(game.critic_loss(f, x, x) + of_sample, constant.scale)
    assert float(slope) == pytest.approx(0.0, abs=1e-12)  # sigma(log 9) = 0.9
    line = Function(lambda x: 3 * x)
    games = [made(GAN, line, r1=r1) for r1 in (0.0, 2.0)]
    plain, with_r1 = (game.critic_loss(critic_of(game), x, x).item() for game in games)
    assert with_r1 - plain == pytest.approx(9.0)


def test_the_loss_of_validation_is_a_divergence_with_its_error() -> None:
    game = made(GAN, Function(lambda x: x))
    watched = game.watched(Batch(torch.randn(2000, 1, dtype=torch.float64), torch.arange(2000)))
    assert -1 < float(watched.mean()) < math.log(2)
    assert 0 < float(watched.std()) / math.sqrt(2000) < 0.1


def test_a_context_that_a_pair_shares_does_not_widen_the_error() -> None:
    """Of f = 10 c + x, the payoff of x ~ N(0, 1) and a sample of 0, given one c, is x: the c cancel."""
    model = Generator(Event((1,), "real"), latent=2, hidden=4, context=Event((1,), "real"))
    game = WGAN(model, OPTIMIZATION, critic=Critic(hidden=4)).double()
    model.generate = lambda noise, context: torch.zeros(len(noise), 1).double()
    game.critic.forward = lambda x, context: 10 * context + x
    num = 2000
    x, c = torch.randn(2, num, 1, dtype=torch.float64)
    torch.testing.assert_close(game.watched(Batch(x, torch.arange(num), c)), x.squeeze(1))


def test_collapse_and_a_sure_critic_are_told_in_words() -> None:
    game = made(GAN)
    game.iteration, game.rank_state["moments"] = 100, torch.tensor([1.0, 0.4, 1.0, 1.0])
    assert game.doubts() == []
    game.rank_state["moments"] = torch.tensor([0.001, 0.01, 1.0, 1.0])
    new, sure = game.doubts()
    assert new.endswith("1.0 % of the data's, and never was 5 %: the generator has learned little; train longer")
    game.rank_state["peak"].fill_(0.4)
    assert "all alike" in game.doubts()[0]
    assert "collapsed; lower" in game.doubts()[0]
    assert "its floor 0" in sure
    game.rank_state["moments"] *= 0.01
    assert game.doubts() == [], "too little was seen"


def test_the_peak_of_the_spread_is_that_of_all_batches() -> None:
    game = made(GAN)
    x = torch.randn(500, 1, dtype=torch.float64)
    for scale in (0.01, 0.5, 0.02):
        game.model.generate = lambda noise, context, scale=scale: scale * x
        game.player_loss("critic", Batch(x, torch.arange(500)))
    assert float(game.rank_state["peak"]) == pytest.approx(0.5)


def test_a_sure_critic_of_smoothed_targets_is_told_by_their_entropy() -> None:
    game = made(GAN, smoothing=0.1)
    game.iteration, floor = 100, -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
    game.rank_state["moments"] = torch.tensor([floor + 0.01, 1.0, 1.0, 1.0])
    assert "near its floor 0.325" in game.doubts()[0]
    game.rank_state["moments"][0] += 0.1
    assert game.doubts() == []


def test_moments_are_of_what_the_model_makes_and_not_of_batches_of_one() -> None:
    game = made(GAN, critic=Critic(hidden=4, noise=1.0))
    x, sample = torch.randn(500, 1), torch.full((500, 1), 2.0)
    for _ in range(30):
        game._observe(game.games()[0], torch.tensor(1.0), sample, x)
    assert "their spread is 0.0 %" in game.doubts()[0]
    before = game.rank_state["moments"].clone()
    game._observe(game.games()[0], torch.tensor(1.0), sample[:1], x[:1])
    assert torch.equal(game.rank_state["moments"], before)


def test_a_critic_that_does_not_suit_the_examples_is_named() -> None:
    for shape in ((2,), ()):
        for told in (None, Event((), "categorical", 3)):
            with pytest.raises(
                ValueError, match=rf"`objective\.critic\.network` must be mlp .* is {re.escape(str([*shape]))}"
            ):
                Critic(network="convolutional").net(Event(shape, "real"), told)


@pytest.mark.parametrize("kind", [GAN, WGAN, WGANGP])
@pytest.mark.parametrize("told", [Event((), "categorical", 3), Event((4,), "tokens", 3)], ids=lambda told: told.kind)
@pytest.mark.parametrize("network", ["mlp", "convolutional"])
def test_both_players_are_told_what_is_given(kind: Callable[..., Adversarial], told: Event, network: str) -> None:
    sizes: dict[str, object] = {"network": network, "hidden": 4, "depth": 1}
    model = Generator(Event((1, 4, 4), "real"), latent=2, **sizes, context=told)  # type: ignore[arg-type]
    game = kind(model, OPTIMIZATION, critic=Critic(**sizes))  # type: ignore[arg-type]
    contexts = torch.tensor([0, 2, 1, 1]) if not told.shape else torch.tensor([[1, 2, 0, 0], [2, 1, 0, 0]] * 2)
    batch = Batch(torch.randn(4, 1, 4, 4), torch.arange(4), contexts)
    for player in game.players():
        game.zero_grad()
        game.player_loss(player.name, batch)[0].backward()
        assert all(part.grad is not None and part.grad.any() for part in player.parameters), player.name
    assert game.watched(batch).shape == (4,)
    other = contexts.roll(1, 0)
    assert not torch.allclose(critic_of(game, contexts)(batch.x), critic_of(game, other)(batch.x))
    noise = model.noise(4)
    assert not torch.allclose(model.generate(noise, contexts), model.generate(noise, other))


def test_settings_that_make_no_game_are_named() -> None:
    for kind, settings, key in (
        (GAN, {"k": 0}, "k"),
        (GAN, {"loss": "hinge"}, "loss"),
        (GAN, {"smoothing": 1.0}, "smoothing"),
        (GAN, {"r1": -1.0}, "r1"),
        (WGAN, {"clip": 0.0}, "clip"),
        (WGANGP, {"penalty": 0.0}, "penalty"),
    ):
        with pytest.raises(ValueError, match=rf"`objective\.{key}`"):
            made(kind, **settings)  # type: ignore[arg-type]
    for settings, key in (({"network": "rnn"}, "network"), ({"hidden": 0}, "hidden"), ({"rate": 0.0}, "rate")):
        with pytest.raises(ValueError, match=rf"`objective\.critic\.{key}`"):
            Critic(**settings)  # type: ignore[arg-type]
