"""The Ising model against enumeration, closed forms, and kernels made of enumerated probabilities."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from dgmrun.estimators import enumeration, sampling
from dgmrun.estimators.annealing import anneal
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.estimators.log_z.reverse_ais import ReverseAIS
from dgmrun.estimators.spacing import linear
from dgmrun.models.ising import GRAPHS, Ising, IsingPath
from dgmrun.protocols.values import Batch, Event

SHAPE = (1, 2, 3)
STATES = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)), dtype=torch.float64)
SPINS = 2 * STATES - 1
ZERO = torch.zeros(6, dtype=torch.float64)
FAIR = torch.stack([torch.zeros(SHAPE), torch.ones(SHAPE)])
"""Data whose marginals are those of fair bits."""
every_graph = pytest.mark.parametrize("graph", list(GRAPHS))


def random_ising(graph: str, scale: float, shape: tuple[int, ...] = SHAPE) -> Ising:
    """An Ising model with N(0, scale^2) couplings and N(0, 1/4) biases, float64."""
    ising = Ising(Event(shape, "binary"), graph, weight_std=scale).double().requires_grad_(False)
    ising.weight.normal_(std=scale)
    ising.bias.normal_(std=0.5)
    return ising


def edges(ising: Ising) -> list[tuple[int, int]]:
    """The ends of each edge, in the order of the weights."""
    return [divmod(place, ising.event.dims) for place in ising.place.tolist()]


def definition(ising: Ising, x: Tensor) -> Tensor:
    """log f as a sum over sites and edges."""
    s = 2 * x.flatten(1) - 1
    pairs = sum((w * s[:, i] * s[:, j] for w, (i, j) in zip(ising.weight, edges(ising), strict=True)), s.new_zeros(()))
    return s @ ising.bias + pairs


def exact_log_z(ising: Ising) -> float:
    return float(torch.logsumexp(enumeration.log_masses(ising), 0))


def test_two_spins_by_hand() -> None:
    """b = (0.3, -0.2), J = 0.5: log f is 0.4, 0, -1 and 0.6."""
    ising = Ising(Event((2,), "binary")).double().requires_grad_(False)
    ising.bias.copy_(torch.tensor([0.3, -0.2], dtype=torch.float64))
    ising.weight.fill_(0.5)
    x = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.float64)
    expected = torch.tensor([0.4, 0.0, -1.0, 0.6], dtype=torch.float64)
    torch.testing.assert_close(ising.log_unnormalised(x), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(ising.log_masses(torch.arange(4)), expected, rtol=0, atol=1e-14)
    assert torch.equal(ising.complete(torch.arange(4)), x)


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 4), (5,), (1, 1, 1)])
def test_a_grid_joins_neighbours_of_one_channel(shape: tuple[int, ...]) -> None:
    """Every edge once, low end first: sites a distance of 1 apart, along the last two axes."""
    sites = list(itertools.product(*map(range, shape)))
    expected = {
        (i, j)
        for (i, a), (j, b) in itertools.combinations(enumerate(sites), 2)
        if a[:-2] == b[:-2] and sum(abs(p - q) for p, q in zip(a, b, strict=True)) == 1
    }
    found = edges(Ising(Event(shape, "binary")))
    assert len(found) == len(expected)
    assert set(found) == expected


def test_the_complete_graph_joins_all_pairs() -> None:
    assert edges(Ising(Event((5,), "binary"), "complete")) == list(itertools.combinations(range(5), 2))


@pytest.mark.parametrize(
    ("graph", "shape", "classes"), [("grid", (2, 3, 5), 2), ("grid", (7,), 2), ("complete", (7,), 7)]
)
def test_a_class_is_a_checkerboard_or_a_site(graph: str, shape: tuple[int, ...], classes: int) -> None:
    ising = Ising(Event(shape, "binary"), graph)
    parts = [set(part.tolist()) for part in ising.order.split(ising.sizes)]
    assert len(parts) == classes
    assert sorted(ising.order.tolist()) == list(range(ising.event.dims))
    assert not any({i, j} <= part for part in parts for i, j in edges(ising))


@every_graph
def test_log_f_and_its_gradient_are_those_of_the_definition(graph: str) -> None:
    torch.manual_seed(0)
    ising = random_ising(graph, 1.0).requires_grad_()
    ours, theirs = ising.log_unnormalised(STATES.reshape(-1, *SHAPE)), definition(ising, STATES)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    share, parameters = torch.randn(64, dtype=torch.float64), list(ising.parameters())
    gradients = (torch.autograd.grad(share @ log_f, parameters) for log_f in (ours, theirs))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@every_graph
def test_moments_are_derivatives_of_log_z(graph: str) -> None:
    """d log Z / d b_i = E[s_i] and d log Z / d J_ij = E[s_i s_j], enumerated."""
    torch.manual_seed(1)
    ising = random_ising(graph, 1.0).requires_grad_()
    log_z = torch.logsumexp(ising.log_unnormalised(STATES), 0)
    ends = torch.tensor(edges(ising))
    with torch.no_grad():
        p = torch.softmax(definition(ising, STATES), 0)
        assert log_z.item() == pytest.approx(float(torch.logsumexp(definition(ising, STATES), 0)), abs=1e-12)
        assert exact_log_z(ising) == pytest.approx(log_z.item(), abs=1e-12)
    by_bias, by_weight = torch.autograd.grad(log_z, [ising.bias, ising.weight])
    torch.testing.assert_close(by_bias, p @ SPINS, rtol=0, atol=1e-12)
    torch.testing.assert_close(by_weight, p @ (SPINS[:, ends[:, 0]] * SPINS[:, ends[:, 1]]), rtol=0, atol=1e-12)


def test_an_open_chain_has_its_closed_form() -> None:
    r"""Without a field :math:`\log Z = D \log 2 + \sum \log\cosh J` (Ising 1925)."""
    torch.manual_seed(2)
    ising = random_ising("grid", 1.0, (12,))
    ising.bias.zero_()
    assert exact_log_z(ising) == pytest.approx(12 * math.log(2) + float(ising.weight.cosh().log().sum()), abs=1e-11)


def test_a_chain_in_a_field_is_a_product_of_transfer_matrices() -> None:
    torch.manual_seed(3)
    ising = random_ising("grid", 1.0, (12,))
    s = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    vector = (ising.bias[0] * s).exp()
    for weight, bias in zip(ising.weight, ising.bias[1:], strict=True):
        vector = vector @ (weight * s[:, None] * s + bias * s).exp()
    assert exact_log_z(ising) == pytest.approx(math.log(float(vector.sum())), abs=1e-11)


def test_four_spins_in_a_square_are_a_ring() -> None:
    r""":math:`Z = 2^4 \prod \cosh J \, (1 + \prod \tanh J)`."""
    torch.manual_seed(4)
    ising = random_ising("grid", 1.0, (1, 2, 2))
    ising.bias.zero_()
    closed = 16 * float(ising.weight.cosh().prod() * (1 + ising.weight.tanh().prod()))
    assert exact_log_z(ising) == pytest.approx(math.log(closed), abs=1e-12)


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1)])
@every_graph
def test_one_unit_has_a_bias_alone(graph: str, shape: tuple[int, ...]) -> None:
    ising = random_ising(graph, 1.0, shape)
    assert exact_log_z(ising) == pytest.approx(math.log(2 * math.cosh(float(ising.bias))), abs=1e-12)
    assert ising.walk(torch.zeros(3, *shape, dtype=torch.float64), 2).shape == (3, *shape)


def annealed_log_f(ising: Ising, beta: float, base: Tensor) -> Tensor:
    """log f_beta of all states."""
    return (1 - beta) * STATES @ base + beta * definition(ising, STATES)


def transition(ising: Ising, beta: float, base: Tensor) -> Tensor:
    """p(x' | x) of one sweep: each class drawn from f_beta among the states that agree elsewhere [64, 64]."""
    f = annealed_log_f(ising, beta, base).exp()
    whole = torch.eye(64, dtype=torch.float64)
    for sites in ising.order.split(ising.sizes):
        others = [site for site in range(6) if site not in sites.tolist()]
        agrees = (STATES[:, None, others] == STATES[None, :, others]).all(-1)
        mass = agrees * f
        whole = whole @ (mass / mass.sum(1, keepdim=True))
    return whole


def misfit(x: Tensor, probability: Tensor) -> float:
    """Chi-square, in its standard deviations, of the 64 rows of draws `x` from the rows of `probability`."""
    num = len(x) // 64
    number = (x.long() * (2 ** torch.arange(5, -1, -1))).sum(1).reshape(64, num)
    counts = torch.stack([torch.bincount(row, minlength=64) for row in number]).double()
    expected = num * probability
    likely = expected > 5
    statistic = ((counts - expected)[likely] ** 2 / expected[likely]).sum()
    freedom = int(likely.sum()) - 64
    return abs(float(statistic) - freedom) / math.sqrt(2 * freedom)


@every_graph
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_moves_follow_a_transition_that_leaves_f_beta_invariant(graph: str, beta: float) -> None:
    """Frequencies of x' from each x; chi-square, false alarms 1e-5."""
    torch.manual_seed(5)
    ising, base = random_ising(graph, 0.4), torch.randn(6, dtype=torch.float64)
    kernel, p = transition(ising, beta, base), torch.softmax(annealed_log_f(ising, beta, base), 0)
    torch.testing.assert_close(p @ kernel, p, rtol=0, atol=1e-12)
    one = torch.tensor(beta, dtype=torch.float64)
    state, _ = IsingPath(ising, base).move(STATES.repeat_interleave(4000, 0), one, one)
    assert misfit(state, kernel) < 4.5


@every_graph
def test_a_walk_follows_the_transition_of_the_model(graph: str) -> None:
    torch.manual_seed(6)
    ising = random_ising(graph, 0.4)
    x = STATES.repeat_interleave(4000, 0).reshape(-1, *SHAPE)
    after = ising.walk(x, 2)
    assert after.shape == x.shape
    assert torch.equal(x.flatten(1), STATES.repeat_interleave(4000, 0))
    kernel = transition(ising, 1.0, ZERO)
    assert misfit(after.flatten(1), kernel @ kernel) < 4.5


@every_graph
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("num", [2, 5])
def test_weights_are_unbiased(graph: str, direction: str, num: int) -> None:
    """E[w] = Z / Z_0 forward and Z_0 / Z in reverse: 20,000 chains, 4 standard errors of the mean weight."""
    torch.manual_seed(num)
    ising, base = random_ising(graph, 0.3), 0.5 * torch.randn(6, dtype=torch.float64)
    path, truth = IsingPath(ising, base), exact_log_z(ising)
    if direction == "forward":
        w = (anneal(path, path.start(20_000), linear(num))[1] + path.log_normaliser() - truth).exp()
    else:
        start = enumeration.samples(ising, 20_000).flatten(1)
        w = (anneal(path, start, linear(num).flip(0))[1] - path.log_normaliser() + truth).exp()
    assert abs(float(w.mean()) - 1) < 4 * float(w.std()) / math.sqrt(len(w))


def test_increments_telescope_to_the_whole_path() -> None:
    torch.manual_seed(7)
    ising, base = random_ising("complete", 1.0), torch.randn(6, dtype=torch.float64)
    path, zero, half, one = IsingPath(ising, base), *torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    whole = path.move(STATES, zero, one)[1]
    torch.testing.assert_close(path.move(STATES, zero, half)[1] + path.move(STATES, half, one)[1], whole)
    torch.testing.assert_close(whole, definition(ising, STATES) - STATES @ base)


@every_graph
def test_both_directions_agree_with_enumeration_within_their_error(graph: str) -> None:
    torch.manual_seed(8)
    ising = random_ising(graph, 0.5, (1, 3, 4))
    x, truth = torch.tensor([[0.0], [1.0]]).expand(2, 12), exact_log_z(ising)
    for method, kind in ((AIS(), "estimate"), (ReverseAIS(), "upper_bound")):
        estimate = method(ising, x)
        assert abs(estimate.value - truth) < 4 * estimate.standard_error
        assert (estimate.kind, estimate.warnings) == (kind, [])


@every_graph
@pytest.mark.parametrize("exact_bits", [0, 23])
def test_samples_have_the_moments_of_the_model(graph: str, exact_bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """E[s_i s_j] and E[s_i] of 20,000 samples, enumerated or by chains: 4.5 standard errors."""
    monkeypatch.setattr(sampling, "AUTOMATIC_BITS", exact_bits)
    torch.manual_seed(9)
    ising = random_ising(graph, 0.4)
    x = sampling.samples(ising, 20_000, FAIR, burn_in=100)
    assert x.shape == (20_000, *SHAPE)
    p, s = torch.softmax(definition(ising, STATES), 0), 2 * x.flatten(1) - 1
    for mean, truth in ((s.mean(0), p @ SPINS), (s.t() @ s / len(s), SPINS.t() @ (p[:, None] * SPINS))):
        error = ((1 - truth**2).clamp(min=0) / len(s)).sqrt()
        assert ((mean - truth).abs() <= 4.5 * error + 1e-12).all()


def test_masses_are_double_whatever_the_model_is() -> None:
    torch.manual_seed(10)
    ising = random_ising("complete", 1.0).float()
    mass, double = ising.log_masses(torch.arange(64)), ising.double()
    torch.testing.assert_close(mass, double.log_unnormalised(double.complete(torch.arange(64))), rtol=0, atol=1e-12)


def test_weights_are_all_that_is_saved() -> None:
    ising, again = random_ising("grid", 1.0), Ising(Event(SHAPE, "binary")).double()
    assert ising.state_dict().keys() == {"weight", "bias"}
    again.load_state_dict(ising.state_dict())
    assert torch.equal(again.log_unnormalised(STATES), ising.log_unnormalised(STATES))


def test_initialise_gives_the_smoothed_marginals_without_couplings() -> None:
    ising = Ising(Event((1, 1, 2), "binary"), weight_std=0.0).double().requires_grad_(False)
    ising.initialise(torch.tensor([[[[1.0, 0.0]]], [[[1.0, 0.0]]], [[[1.0, 1.0]]]]))
    mean = torch.softmax(enumeration.log_masses(ising), 0) @ ising.complete(torch.arange(4)).flatten(1)
    torch.testing.assert_close(mean, torch.tensor([3.5 / 4, 1.5 / 4], dtype=torch.float64))


def test_pictures_are_couplings_biases_and_conditionals() -> None:
    torch.manual_seed(11)
    ising = random_ising("grid", 1.0)
    couplings, biases, conditionals = ising.pictures(Batch(STATES.reshape(-1, *SHAPE), torch.arange(64))).values()
    assert all(couplings[i, j] == couplings[j, i] == w for (i, j), w in zip(edges(ising), ising.weight, strict=True))
    assert int(couplings.count_nonzero()) == 2 * len(ising.weight)
    assert torch.equal(biases, ising.bias.reshape(1, *SHAPE))
    ends = [torch.where(torch.arange(6) == 4, value, STATES) for value in (0.0, 1.0)]
    odds = definition(ising, ends[1]) - definition(ising, ends[0])
    torch.testing.assert_close(conditionals.flatten(1)[:, 4], torch.sigmoid(odds))


@pytest.mark.parametrize(
    ("event", "settings", "message"),
    [
        (Event((4,), "real"), {}, "`dataset` must be binary for an Ising model, but is real"),
        (Event((4,), "binary"), {"graph": "ring"}, "`model.graph` must be one of grid, complete, but is ring"),
        (Event((4,), "binary"), {"weight_std": -1.0}, "`model.weight_std` must not be negative, but is -1"),
    ],
)
def test_refuses(event: Event, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ising(event, **settings)
