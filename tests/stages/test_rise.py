"""Over-fitting is told where validation has risen by more than chance and training has not, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dgmrun.protocols.values import Estimate, half_width
from dgmrun.report.overfitting import Overfitting, overfitting
from dgmrun.run.metrics import Curves, curves
from dgmrun.stages.train.rise import Scores, rise

EXAMPLES = 100
REPETITIONS, ALARMS = 1000, 9
"""Trainings that end as well as at their best, and the most that may be called over-fitted: at most 1.35 are expected,
and more than 9 have a chance of 1e-5."""


def logged(validations: Sequence[Tensor], gaps: Sequence[float]) -> Curves:
    """The curves of a training with these scores of validation examples, validated every 10 steps."""
    found: Curves = {}
    least: Scores | None = None
    for place, (log_prob, gap) in enumerate(zip(validations, gaps, strict=True), 1):
        now = Scores(log_prob, 0.0)
        for tag, value in {"nll": -float(log_prob.mean()), "gap": gap, **rise(now, least, None)}.items():
            found.setdefault(f"valid/{tag}", []).append((10 * place, value))
        least = now if least is None or log_prob.mean() > least.log_prob.mean() else least
    return found


def test_the_error_is_paired_and_has_that_of_log_z() -> None:
    ease = 10 * torch.randn(EXAMPLES, dtype=torch.float64)
    d = torch.rand(EXAMPLES, dtype=torch.float64)
    found = rise(Scores(ease - d, 0.3), Scores(ease, 0.4), None)
    of_examples = float(d.std()) / math.sqrt(EXAMPLES)
    assert found["rise"] == pytest.approx(float(d.mean()))
    assert found["rise_standard_error"] == pytest.approx(math.hypot(of_examples, 0.5))
    assert rise(Scores(ease - d, 0.0), Scores(ease, 0.0), EXAMPLES)["rise_standard_error"] == 0, "a whole population"
    assert rise(Scores(ease, 0.0), None, None) == {}


def test_a_log_z_without_an_error_claims_nothing() -> None:
    estimate = Estimate("log_likelihood", 0.0, None, None, "estimate", "up", diagnostics={"standard_error_log_z": None})
    now = Scores.of(torch.zeros(EXAMPLES), estimate)
    assert math.isnan(rise(now, now, None)["rise_standard_error"])


def test_a_rise_beyond_chance_is_over_fitting_from_the_least_on() -> None:
    ease = 10 * torch.randn(EXAMPLES)
    noise = torch.randn(4, EXAMPLES)
    shifts = torch.tensor([-1.0, 0.0, -0.5, -2.0])[:, None]
    found = overfitting(logged(list(ease + shifts + noise), [0.0, 1.0, 2.0, 4.0]), EXAMPLES)
    assert found is not None
    assert found.step == 20
    d = (noise[1] - noise[3] + 2).double()
    assert found[1:] == pytest.approx((float(d.mean()), float(d.std()) / math.sqrt(EXAMPLES)), rel=1e-4)
    assert found.rise > half_width(found.standard_error, EXAMPLES, 4)
    assert str(found).startswith("over-fitting: validation has risen by ")


def test_a_model_that_is_worse_on_training_examples_too_is_only_shaken() -> None:
    ease = torch.randn(EXAMPLES)
    worse = ease - 2 - 0.1 * torch.rand(EXAMPLES)
    assert overfitting(logged([ease, worse, worse], [1.0, 1.0, 1.0]), EXAMPLES) is None


def test_one_validation_after_the_least_is_no_trend() -> None:
    ease = torch.randn(EXAMPLES)
    worse = ease - 2 - 0.1 * torch.rand(EXAMPLES)
    assert overfitting(logged([ease, worse], [0.0, 4.0]), EXAMPLES) is None
    assert overfitting(logged([ease, worse, worse], [0.0, 4.0, 4.0]), EXAMPLES) is not None


def test_validation_that_falls_or_was_never_compared_is_none() -> None:
    ease = torch.randn(EXAMPLES)
    assert overfitting(logged([ease - 2, ease], [0.0, 1.0]), EXAMPLES) is None
    assert overfitting(logged([ease], [0.0]), EXAMPLES) is None
    assert overfitting({"valid/loss": [(10, 1.0), (20, 2.0)]}, EXAMPLES) is None


def test_chance_is_rarely_over_fitting() -> None:
    """The least of ten is compared with the last: without Bonferroni's inequality, ten times as many."""
    found: list[Overfitting | None] = []
    for _ in range(REPETITIONS):
        found.append(overfitting(logged(list(torch.randn(10, EXAMPLES)), range(10)), EXAMPLES))
    assert sum(each is not None for each in found) <= ALARMS


@pytest.mark.parametrize(("patience", "kept"), [("null", "trainer.patience=10 would keep"), ("3", "the run has")])
def test_a_training_says_that_it_over_fits(
    patience: str, kept: str, dgmrun: Callable[..., int], data_dir: Path, tmp_path: Path
) -> None:
    words = (
        "experiment=regularisation",
        "optimizer.lr=0.02",
        "trainer.max_steps=50",
        "trainer.validate_every_n_steps=10",
    )
    assert dgmrun(*words, f"data_dir={data_dir}", f"trainer.patience={patience}", "hydra.run.dir=run", "train") == 0
    assert f"since step 20, its least; {kept} the weights of that step" in (tmp_path / "run" / "run.log").read_text()
    found = overfitting(curves(tmp_path / "run"), EXAMPLES)
    assert found is not None
    assert found.step == 20
