"""Distributions in the plane: their densities, where they are known, and the curves that they lie on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml

from dgmrun.data.splits import Split
from dgmrun.datasets import pinwheel, rings, two_spirals
from dgmrun.errors import Mistake
from dgmrun.paths import options
from dgmrun.workbench.build import OWN_KEYS

CONFIGS = {name: yaml.safe_load(file.read_text()) for name, file in options("dataset").items()}
SIZES = [10_000, 5, 5]


def module(name: str) -> ModuleType:
    return import_module(CONFIGS[name]["_target_"].rpartition(".")[0])


def settings(name: str) -> dict[str, Any]:
    """Its own settings, without sizes."""
    return {key: each for key, each in CONFIGS[name].items() if key not in (*OWN_KEYS["dataset"], "_target_", "sizes")}


def train(name: str) -> Split:
    return module(name).load(Path(), SIZES, **settings(name))["train"]


@pytest.mark.parametrize("name", sorted(name for name in CONFIGS if hasattr(module(name), "log_density")))
def test_a_known_density_is_that_of_its_draws_and_scores_as_the_yaml_says(name: str) -> None:
    """Its mass over the plane is 1, and its entropy that of the draws, within 5 standard errors, and of the YAML."""
    log_density = partial(module(name).log_density, **settings(name))
    side = 0.01 * (torch.arange(1200, dtype=torch.float64) - 599.5)
    cells = log_density(torch.cartesian_prod(side, side))
    mass = cells.exp() * 0.01**2
    assert float(mass.sum()) == pytest.approx(1, abs=1e-6)
    nats = float((mass * cells.clamp(min=-1e3)).sum())
    written = re.search(r"A perfect model scores (-[\d.]+) nats", options("dataset")[name].read_text())
    assert written is not None
    assert nats == pytest.approx(float(written[1]), abs=1e-4)
    drawn = log_density(train(name).x.double())
    assert float(drawn.mean()) == pytest.approx(nats, abs=5 * float(drawn.std()) / math.sqrt(len(drawn)) + 1e-6)


@pytest.mark.parametrize(("name", "parts"), [("pinwheel", 5), ("two_spirals", 2)])
def test_every_blade_and_spiral_is_the_first_one_turned(name: str, parts: int) -> None:
    """Their means and mean squares, within 5 standard errors."""
    split = train(name)
    assert split.y.unique().tolist() == list(range(parts))
    angle = -math.tau / parts * split.y
    x = torch.view_as_real(torch.view_as_complex(split.x) * torch.polar(torch.ones(len(angle)), angle))
    for statistic in (x, x.square()):
        first, *others = (statistic[split.y == part] for part in range(parts))
        for other in others:
            error = (first.var(0) / len(first) + other.var(0) / len(other)).sqrt()
            assert ((first.mean(0) - other.mean(0)).abs() <= 5 * error).all()


def test_the_radius_tells_the_ring() -> None:
    ring = train("rings")
    assert torch.equal((ring.x.norm(dim=1) / 0.75 - 1).round().clamp(0, 3).long(), ring.y)


def test_the_radius_tells_the_angle_on_a_spiral() -> None:
    """Up to noise along and across, of which the angle seen is simulated apart; the mean square is that of t / 3."""
    split = train("two_spirals")
    square = split.x.double().square().sum(1)
    error = float(square.std()) / math.sqrt(len(square))
    assert float(square.mean()) == pytest.approx(math.pi**2 / 2 + 2 * 0.1**2, abs=5 * error)
    t, sign = 3 * square.sqrt(), 1 - 2 * split.y
    cosine = sign * (split.x * torch.stack((-t.cos(), t.sin()), 1)).sum(1) / square.sqrt()
    along, across = torch.randn(2, 1_000_000, dtype=torch.float64) * 0.1
    true = 3 * math.pi * torch.rand(1_000_000, dtype=torch.float64).sqrt()
    seen = 3 * torch.hypot(true / 3 + along, across)
    expected = torch.cos(seen - true - torch.atan2(across, true / 3 + along))
    assert abs(float(cosine.mean() - expected.mean())) < 5 * float(cosine.std()) / math.sqrt(len(cosine))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rings.load(Path(), SIZES, [], 0.1), r"`dataset.radii` must be numbers of at least 0, but is \[\]"),
        (lambda: rings.labels(SIZES, [-1.0], 0.1), r"`dataset.radii` must be numbers of at least 0, but is \[-1.0\]"),
        (lambda: rings.load(Path(), SIZES, [1.0], 0.0), "`dataset.noise` must be above 0, but is 0.0"),
        (lambda: pinwheel.labels(SIZES, -1), "`dataset.blades` must be at least 1, but is -1"),
        (lambda: pinwheel.load(Path(), SIZES, 0), "`dataset.blades` must be at least 1, but is 0"),
        (lambda: two_spirals.load(Path(), SIZES, -1.0), "`dataset.noise` must not be negative, but is -1.0"),
    ],
)
def test_settings_that_no_distribution_has(make: Callable[[], object], message: str) -> None:
    with pytest.raises(Mistake, match=message):
        make()
