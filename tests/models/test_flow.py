"""Flows against autograd, quadrature and a Gaussian."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.func import jacrev, vmap

from dgmrun.models.flow import KINDS, Flow
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

SETTINGS: list[dict[str, Any]] = [
    *({"kind": kind} for kind in KINDS),
    {"kind": "maf", "order": "random"},
    {"kind": "nsf_coupling", "order": "random", "kept": 1},
]
CLASSES = Event((), "categorical", 3)


def made(event: Event, **settings: Any) -> Flow:
    """A flow in double precision whose weights are far from their start, of data far from zero."""
    with seeded(0, "flow"):
        flow = Flow(event, layers=3, hidden=[8, 8], **settings).double()
        flow.initialise(torch.randn(50, *event.shape) * 3 + 5)
        for weight in flow.parameters():
            weight.data += 0.2 * torch.randn_like(weight)
    return flow


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("context", [None, CLASSES])
def test_inverse_and_volume(settings: dict[str, Any], context: Event | None) -> None:
    flow = made(Event((2, 2), "real"), context=context, **settings)
    torch.manual_seed(0)
    y = None if context is None else torch.arange(6) % 3
    x = flow.sample(6, y)
    c = flow.vector(y, flow.standardise.mean)

    def noise(x: Tensor, c: Tensor | None) -> Tensor:
        return flow.layers.transform(c)(flow.standardise(x.unsqueeze(0)))[0]

    z = vmap(noise, (0, None if c is None else 0))(x, c)
    jacobian = vmap(jacrev(noise), (0, None if c is None else 0))(x, c).flatten(2)
    expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) + torch.linalg.slogdet(jacobian).logabsdet
    assert torch.allclose(flow.log_prob(x, y), expected, rtol=0, atol=1e-9)
    back = flow.standardise.inverse(flow.layers.transform(c).inv(z)).reshape(x.shape)
    assert torch.allclose(back, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_density_integrates_to_one(settings: dict[str, Any]) -> None:
    flow = made(Event((2,), "real"), **settings)
    flow.standardise.mean.zero_()
    flow.standardise.scale.fill_(1.0)
    side = torch.linspace(-10, 10, 301, dtype=torch.float64)
    with torch.no_grad():
        mass = flow.log_prob(torch.cartesian_prod(side, side)).exp().sum() * (side[1] - side[0]).square()
    assert float(mass) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "layers", "steps"),
    [("maf", 1, 300), *(pytest.param(kind, 2, 800, marks=pytest.mark.slow) for kind in KINDS)],
)
def test_a_gaussian_is_fitted_to_its_entropy(kind: str, layers: int, steps: int) -> None:
    """KL from the data, 0.01 nat, by 20,000 examples, paired: its standard error is far below that."""
    covariance = torch.tensor([[4.0, 3.0, 0.0], [3.0, 4.0, 1.0], [0.0, 1.0, 1.0]])
    data = MultivariateNormal(torch.tensor([50.0, -3.0, 0.0]), covariance)
    torch.manual_seed(0)
    flow = Flow(Event((3,), "real"), kind=kind, layers=layers, hidden=[32])
    flow.initialise(data.sample((5000,)))
    optimizer = torch.optim.Adam(flow.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (-flow.log_prob(data.sample((500,))).mean()).backward()
        optimizer.step()
        schedule.step()
    x = data.sample((20_000,))
    with torch.no_grad():
        assert float((data.log_prob(x) - flow.log_prob(x)).mean()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("order", ["alternating", "random"])
@pytest.mark.parametrize("context", [None, CLASSES])
@pytest.mark.parametrize("hidden", [[3, 3], [3, 50], [5, 4], [40, 30]])
def test_a_narrow_network_reads_every_dimension(order: str, context: Event | None, hidden: list[int]) -> None:
    """With positive weights no unit is off: what is not moved is masked, in a wide network nothing."""
    dims = 12
    flow = Flow(Event((dims,), "real"), layers=2, hidden=hidden, order=order, context=context).double()
    for weight in flow.layers.parameters():
        weight.data = weight.abs() + 0.1
    c = flow.vector(None if context is None else torch.tensor([1]), flow.standardise.mean)
    x = torch.rand(1, dims, dtype=torch.float64)
    for layer in flow.layers.transform.transforms:
        moved = jacrev(lambda x, layer=layer: layer(c)(x))(x)[0, :, 0] != 0
        order_of = layer.order.argsort()
        moved = moved[order_of][:, order_of]
        assert moved.diagonal().all()
        assert not moved.triu(1).any()
        assert moved[-1].all(), "the last dimension is moved by all"
        pairs = dims * (dims - 1) // 2
        assert int(moved.tril(-1).sum()) >= (pairs if min(hidden) >= dims else 0.6 * pairs)


@pytest.mark.parametrize(
    ("dims", "settings", "message"),
    [
        (2, {"kind": "naf"}, "`model.kind` must be one of"),
        (5, {"kind": "realnvp", "kept": 3}, "`model.kept` must be at most 2"),
        (5, {"hidden": [50, 2]}, "`model.hidden` must be sizes of at least 3 for maf"),
        (2, {"order": "raster"}, "`model.order` must be one of alternating, random"),
        (2, {"layers": 0}, "`model.layers` must be at least 1"),
        (2, {"hidden": []}, "`model.hidden` must be sizes"),
        (2, {"bins": 1}, "`model.bins` must be at least 2"),
        (1, {"kind": "realnvp"}, "`model.kind` must be maf, iaf or nsf"),
        (2, {"kind": "realnvp", "kept": 2}, "`model.kept` must be null or from 1 to 1"),
        (2, {"kind": "maf", "kept": 1}, "`model.kept` must be null for maf"),
    ],
)
def test_mistakes(dims: int, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Flow(Event((dims,), "real"), **settings)
    assert Flow(Event((1,), "real"), kind="nsf").log_prob(torch.zeros(3, 1)).shape == (3,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("context", [None, Event((), "categorical", 2)], ids=["alone", "told"])
def test_samples_come_with_their_densities_and_gradients(kind: str, context: Event | None) -> None:
    """log p of a sample is that of x, and a sample moves with the parameters as differences say."""
    torch.manual_seed(0)
    flow = Flow(Event((3,), "real"), kind, layers=2, hidden=[5], context=context).double()
    flow.initialise(torch.randn(50, 3).double() * 3 + 1)
    y = None if context is None else torch.tensor([0, 1, 1])
    torch.manual_seed(1)
    x, log_p = flow.rsample_and_log_prob(3, y)
    torch.testing.assert_close(flow.log_prob(x.detach(), y), log_p.detach(), atol=1e-6, rtol=0.0)
    parameter = next(iter(flow.layers.parameters()))
    (gradient,) = torch.autograd.grad(x.sum() + log_p.sum(), parameter)
    direction, ends = torch.randn_like(parameter), []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            parameter.add_(step * direction)
            torch.manual_seed(1)
            ends.append(sum(part.sum() for part in flow.rsample_and_log_prob(3, y)))
            parameter.sub_(step * direction)
    torch.testing.assert_close((ends[0] - ends[1]) / 2e-6, (gradient * direction).sum(), atol=1e-4, rtol=1e-4)
