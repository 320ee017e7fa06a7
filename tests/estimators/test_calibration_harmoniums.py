"""How often intervals of AIS and reverse AIS hold the exact log Z of random machines of real numbers and of classes.

`pytest -m slow -s tests/estimators/test_calibration_harmoniums.py` prints the table. Visible 1 to 10 (real) or 6 to 12
(2 to 5 classes), hidden 1 to 12, weight scale 0.3 to 4 and 10 to 1,000 temperatures, both log-uniform; Gaussian or
sparse weights; hidden biases standard normal, zero or such that a unit is on half of the time; 100 chains. Annealing
starts from the marginals of 1,000 exact samples where units are real, and from uniform classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dgmrun.estimators import enumeration
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.estimators.log_z.reverse_ais import ReverseAIS
from dgmrun.models import GaussianRBM, PottsRBM
from dgmrun.nn.harmonium import Harmonium
from dgmrun.protocols.values import Estimate, Event
from tests.estimators.test_calibration import log_uniform

Outcome = tuple[bool, bool, bool]
"""Of one estimate: is it warned of, does the interval cover, is it within one standard error."""


def between(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def real() -> tuple[Harmonium, Tensor]:
    model = GaussianRBM(Event((between(1, 10),), "real"), between(1, 12)).double().requires_grad_(False)
    weight = coupled(model)
    model.visible_bias.normal_()
    model.log_scale.normal_(std=0.5)
    model.weight.copy_(weight * model.precision().rsqrt()[:, None])
    balance(model, -weight.square().sum(0) / 2)
    return model, enumeration.samples(model, 1000)


def classes() -> tuple[Harmonium, Tensor]:
    event = Event((between(6, 12),), "categorical", between(2, 5))
    model = PottsRBM(event, between(1, 12)).double().requires_grad_(False)
    weight = coupled(model)
    model.visible_bias.normal_()
    model.weight.copy_(weight)
    balance(
        model,
        -weight.reshape(*model.visible_bias.shape, -1).logsumexp(1).sum(0) + event.dims * math.log(event.size or 1),
    )
    return model, torch.arange(event.size or 1)[:, None].expand(-1, event.dims)


def coupled(model: Harmonium) -> Tensor:
    """Random weights."""
    kept = torch.rand_like(model.weight) < (1.0, 0.3)[between(0, 1)]
    return kept * log_uniform(0.3, 4) / kept.double().mean().clamp(min=0.1).sqrt() * torch.randn_like(model.weight)


def balance(model: Harmonium, half: Tensor) -> None:
    """Random hidden biases; `half` are those with which a lone unit would be on half of the time."""
    b = torch.randn_like(model.hidden_bias)
    model.hidden_bias.copy_((b, 0 * b, half, half + 0.3 * b)[between(0, 3)])


def outcome(estimate: Estimate, truth: float) -> Outcome:
    low, high = estimate.interval or (-math.inf, math.inf)
    assert low is not None
    assert high is not None
    return bool(estimate.warnings), low <= truth <= high, abs(estimate.value - truth) <= (estimate.standard_error or 0)


def found(make: Callable[[], tuple[Harmonium, Tensor]], num: int, most: int) -> dict[str, list[Outcome]]:
    """Outcomes of both methods on `num` random machines, with at most so many temperatures."""
    outcomes: dict[str, list[Outcome]] = {"ais": [], "reverse_ais": []}
    for _ in range(num):
        model, x = make()
        truth, temperatures = float(enumeration.log_masses(model).logsumexp(0)), round(log_uniform(10, most))
        for name, method in (("ais", AIS), ("reverse_ais", ReverseAIS)):
            outcomes[name].append(outcome(method(100, temperatures)(model, x), truth))
    return outcomes


of_both = pytest.mark.parametrize("make", [real, classes])


@of_both
def test_intervals_cover(make: Callable[[], tuple[Harmonium, Tensor]]) -> None:
    """6 machines: 3 misses of 99.7 % intervals have a probability below 1e-6."""
    torch.manual_seed(2)
    for outcomes in found(make, 6, 50).values():
        trusted = [one for one in outcomes if not one[0]]
        assert len(trusted) > 1
        assert sum(not covers for _, covers, _ in trusted) < 3


@pytest.mark.slow
@of_both
def test_calibration_on_200_machines(make: Callable[[], tuple[Harmonium, Tensor]]) -> None:
    torch.manual_seed(10)
    for name, outcomes in found(make, 200, 1000).items():
        trusted = [one for one in outcomes if not one[0]]
        covers, near = (sum(one[place] for one in trusted) / len(trusted) for place in (1, 2))
        print(f"\n| {make.__name__} {name} | {1 - len(trusted) / 200:.1%} | {near:.1%} | {covers:.1%} |", end="")
        assert sum(not one[1] for one in trusted) < 5
        assert abs(near - 0.683) < 4 * math.sqrt(0.683 * 0.317 / len(trusted))
