"""Densities of real numbers, found by their YAML: what unit the data have makes no difference but the volume."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from dgmrun.nn.standardise import Standardise
from dgmrun.paths import options
from dgmrun.protocols.models import TractableDensity, fits
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded
from dgmrun.workbench import build

DIMS, SHIFT, SCALE = 3, 1000.0, 0.01


def standardised(name: str) -> Any:
    """A density of three real numbers with its default settings, if it standardises them."""
    settings = yaml.safe_load(options("model")[name].read_text())["model"]
    found = build.target(settings)
    try:
        with seeded(0, "model"):
            model = found(Event((DIMS,), "real"))
    except (TypeError, ValueError):
        return None
    is_standardised = isinstance(getattr(model, "standardise", None), Standardise)
    return model.eval() if is_standardised and fits(found, TractableDensity) else None


@pytest.mark.parametrize("name", [name for name in options("model") if standardised(name) is not None])
def test_the_unit_of_the_data_changes_log_p_by_the_volume_alone(name: str) -> None:
    x, found = torch.randn(500, DIMS, dtype=torch.float64), []
    for shift, scale in ((0.0, 1.0), (SHIFT, SCALE)):
        model = standardised(name).double()
        with seeded(0, "start"):
            model.initialise(shift + scale * x)
        found.append(model.log_prob(shift + scale * x))
        assert abs(float(model.sample(500).mean()) - shift) < scale
    assert (found[0] - found[1]).allclose(torch.tensor(DIMS * math.log(SCALE)).double(), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in options("model") if standardised(name) is not None])
def test_a_start_is_near_the_marginal_distributions(name: str) -> None:
    """Of those that promise it: within 2 nats of independent Gaussians, at whatever place."""
    x = 1000 + 10 * torch.randn(2000, DIMS)
    model: Any = standardised(name)
    model.initialise(x)
    independent: Tensor = torch.distributions.Normal(x.mean(0), x.std(0)).log_prob(x).sum(1)
    with torch.no_grad():
        assert float((independent - model.log_prob(x)).mean()) < 2


def test_a_constant_column_has_no_unit() -> None:
    layer = Standardise(2).double()
    layer.fit(torch.stack((torch.full((1000,), 0.1).double(), torch.randn(1000).double()), 1))
    assert layer.scale[0] == 1
