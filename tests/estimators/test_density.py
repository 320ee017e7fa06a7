"""Log-likelihood with two sources of error."""

from __future__ import annotations

import math

import pytest
import torch

from dgmrun.estimators.density import log_likelihood
from dgmrun.protocols.values import Estimate

LOG_F = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)


def test_errors_of_examples_and_log_z_combine() -> None:
    log_z = Estimate("log_z", 10.0, 0.4, (9.0, 11.5), kind="estimate", bias="down", samples=100)
    estimate = log_likelihood(LOG_F, log_z)
    examples = float(LOG_F.std()) / 2
    assert estimate.value == pytest.approx(-7.5)
    assert estimate.standard_error == pytest.approx(math.hypot(examples, 0.4))
    assert estimate.interval == pytest.approx(
        (-7.5 - math.hypot(3 * examples, 1.5), -7.5 + math.hypot(3 * examples, 1.0))
    )
    assert (estimate.kind, estimate.bias) == ("estimate", "up")


@pytest.mark.parametrize(
    ("kind", "bias", "expected"),
    [("exact", "none", ("exact", "none")), ("upper_bound", "up", ("lower_bound", "down"))],
)
def test_kind_follows_from_log_z(kind: str, bias: str, expected: tuple[str, str]) -> None:
    estimate = log_likelihood(LOG_F, Estimate("log_z", 0.0, 0.0, (0.0, 0.0), kind=kind, bias=bias))
    assert (estimate.kind, estimate.bias) == expected


def test_no_interval_without_one_of_log_z() -> None:
    assert log_likelihood(LOG_F, Estimate("log_z", 0.0, 9.0, None, kind="estimate", bias="down")).interval is None
