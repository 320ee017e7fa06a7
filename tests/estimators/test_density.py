"""Log-likelihood with two sources of error."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from dgmrun.estimators.density import less, log_likelihood
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


def of_f(kind: Any = "lower_bound", bias: Any = "down", interval: Any = (-4.0, None)) -> Estimate:
    return Estimate("log_likelihood", -3.0, 0.3, interval, kind, bias, samples=7, settings={"a": 1}, warnings=["f"])


def of_z(kind: Any = "exact", bias: Any = "none", interval: Any = (9.5, 11.0)) -> Estimate:
    return Estimate("log_z", 10.0, 0.4, interval, kind, bias, samples=9, settings={"b": 2}, warnings=["z"])


@pytest.mark.parametrize(
    ("f", "z", "expected"),
    [
        (("exact", "none"), ("exact", "none"), ("exact", "none")),
        (("exact", "none"), ("upper_bound", "up"), ("lower_bound", "down")),
        (("exact", "none"), ("lower_bound", "down"), ("upper_bound", "up")),
        (("exact", "none"), ("estimate", "down"), ("estimate", "up")),
        (("lower_bound", "down"), ("exact", "none"), ("lower_bound", "down")),
        (("lower_bound", "down"), ("upper_bound", "up"), ("lower_bound", "down")),
        (("lower_bound", "down"), ("lower_bound", "down"), ("estimate", "unknown")),
        (("lower_bound", "down"), ("estimate", "down"), ("estimate", "unknown")),
        (("lower_bound", "down"), ("estimate", "up"), ("estimate", "down")),
        (("upper_bound", "up"), ("estimate", "down"), ("estimate", "up")),
        (("upper_bound", "up"), ("lower_bound", "down"), ("upper_bound", "up")),
        (("estimate", "unknown"), ("exact", "none"), ("estimate", "unknown")),
        (("lower_bound", "down"), ("estimate", "unknown"), ("estimate", "unknown")),
    ],
)
def test_less_is_a_bound_only_where_both_err_on_one_side(
    f: tuple[str, str], z: tuple[str, str], expected: tuple[str, str]
) -> None:
    estimate = less(of_f(*f), of_z(*z))
    assert (estimate.kind, estimate.bias) == expected


@pytest.mark.parametrize(
    ("f", "z", "expected"),
    [
        ((-4.0, -1.0), (9.5, 11.0), (-13 - math.hypot(1, 1), -13 + math.hypot(2, 0.5))),
        ((-4.0, None), (9.5, 11.0), (-13 - math.hypot(1, 1), None)),
        ((-4.0, None), (9.5, None), (None, None)),
        ((None, -1.0), (9.5, None), (None, -13 + math.hypot(2, 0.5))),
        ((-3.0, -3.0), (10.0, 10.0), (-13.0, -13.0)),
        (None, (9.5, 11.0), None),
        ((-4.0, -1.0), None, None),
    ],
)
def test_each_side_of_less_is_made_of_one_side_of_both(f: Any, z: Any, expected: Any) -> None:
    estimate = less(of_f(interval=f), of_z(interval=z))
    assert estimate.value == pytest.approx(-13)
    assert estimate.standard_error == pytest.approx(0.5)
    assert estimate.interval == (expected if expected is None else pytest.approx(expected))
    assert estimate.settings == {"a": 1, "log_z": {"b": 2}}
    assert estimate.warnings == ["f", "z"]
    assert (estimate.samples, estimate.diagnostics) == (7, {"log_z": 10.0, "standard_error_log_z": 0.4})


def test_less_has_no_error_where_one_of_both_has_none() -> None:
    assert less(replace(of_f(), standard_error=None), of_z()).standard_error is None
    assert less(of_f(), replace(of_z(), standard_error=None)).standard_error is None
