"""Over-fitting is told where validation has risen and training has gained by more than chance, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmrun.protocols.values import Batch, Estimate, half_width
from dgmrun.report.overfitting import overfitting
from dgmrun.run.metrics import Curves, curves
from dgmrun.stages.train.rise import Scores, rise
from dgmrun.stages.train.validation import examples
from dgmrun.workbench.setup import Setup

EXAMPLES, VALIDATIONS = 100, 10
REPETITIONS, ALARMS = 10_000, 40
"""Trainings that end as well as at their best, and the most that may be called over-fitted: at most 13.5 are expected,
and more than 40 have a chance of 2e-9. Without Bonferroni's inequality, about 100 are, and 40 have one of 1e-11."""
EXACT = Estimate("log_likelihood", 0.0, 0.1, None, "exact", "none")


def over_log_z(error: float | None, samples: int | None = None) -> Estimate:
    told = {"standard_error_log_z": error, "samples_log_z": samples}
    return Estimate("log_likelihood", 0.0, None, None, "estimate", "up", diagnostics=told)


def logged(validations: Sequence[Tensor], gains: Sequence[float], estimate: Estimate = EXACT) -> Curves:
    """The curves of a training with these scores of validation, and of training examples that have gained so much."""
    found: Curves = {}
    least: Scores | None = None
    ease = torch.randn(EXAMPLES)
    for place, (log_prob, gain) in enumerate(zip(validations, gains, strict=True), 1):
        now = Scores.of(log_prob, ease + gain + 0.1 * torch.randn(EXAMPLES), estimate)
        for tag, value in {"nll": -float(log_prob.mean()), **rise(now, least, None)}.items():
            found.setdefault(f"valid/{tag}", []).append((10 * place, value))
        least = now if least is None or log_prob.mean() > least.valid.mean() else least
    return found


def test_the_errors_are_paired_and_have_that_of_log_z() -> None:
    ease = 10 * torch.randn(EXAMPLES, dtype=torch.float64)
    d, gain = torch.rand(2, EXAMPLES, dtype=torch.float64)
    now = Scores.of(ease - d, ease + gain, over_log_z(0.3, 30))
    found = rise(now, Scores.of(ease, ease, over_log_z(0.4, 20)), None)
    assert found["rise"] == pytest.approx(float(d.mean()))
    assert found["gain"] == pytest.approx(float(gain.mean()))
    for name, values in (("rise", d), ("gain", gain)):
        of_examples = float(values.std()) / math.sqrt(EXAMPLES)
        assert found[f"{name}_standard_error"] == pytest.approx(math.hypot(of_examples, 0.5))
    assert found["rise_standard_error_size"] == 20


def test_errors_of_a_whole_population_and_of_no_comparison() -> None:
    one, other = (Scores.of(torch.randn(EXAMPLES), None, EXACT) for _ in range(2))
    found = rise(one, other, EXAMPLES)
    assert (found["rise_standard_error"], found["rise_standard_error_size"]) == (0, EXAMPLES)
    assert "gain" not in found
    assert rise(one, None, None) == {}


def test_a_log_z_without_an_error_claims_nothing() -> None:
    now = Scores.of(torch.zeros(EXAMPLES), None, over_log_z(None))
    assert math.isnan(rise(now, now, None)["rise_standard_error"])


def test_a_rise_beyond_chance_is_over_fitting_from_the_least_on() -> None:
    ease = 10 * torch.randn(EXAMPLES)
    noise = torch.randn(4, EXAMPLES)
    shifts = torch.tensor([-1.0, 0.0, -0.5, -2.0])[:, None]
    found = overfitting(logged(list(ease + shifts + noise), [0.0, 1.0, 2.0, 4.0]))
    assert found is not None
    assert found.step == 20
    d = (noise[1] - noise[3] + 2).double()
    assert found[1:] == pytest.approx((float(d.mean()), float(d.std()) / math.sqrt(EXAMPLES)), rel=1e-4)
    assert found.rise > half_width(found.standard_error, EXAMPLES, 4)
    assert str(found).startswith("over-fitting: validation has risen by ")


@pytest.mark.parametrize(("chains", "is_found"), [(3, False), (100, True)])
def test_few_chains_claim_less(chains: int, is_found: bool) -> None:
    """A rise of 2 beyond errors of 0.28, of log Z almost alone: 7 of them, where 3 chains have an interval of 27."""
    ease = torch.randn(EXAMPLES)
    found = overfitting(logged([ease, ease - 2, ease - 2], [0.0, 3.0, 3.0], over_log_z(0.2, chains)))
    assert (found is not None) is is_found


def test_a_model_that_is_worse_on_training_examples_too_is_only_shaken() -> None:
    ease = torch.randn(EXAMPLES)
    worse = ease - 2 - 0.1 * torch.rand(EXAMPLES)
    found = logged([ease, worse, worse], [0.0, -1.0, -1.0])
    assert found["valid/rise"][-1][1] > 1
    assert overfitting(found) is None


def test_one_validation_after_the_least_is_no_trend() -> None:
    ease = torch.randn(EXAMPLES)
    worse = ease - 2 - 0.1 * torch.rand(EXAMPLES)
    assert overfitting(logged([ease, worse], [0.0, 1.0])) is None
    assert overfitting(logged([ease, worse, worse], [0.0, 1.0, 1.0])) is not None


@pytest.mark.parametrize(
    ("told", "is_found"),
    [
        ({}, True),
        ({"rise": 0.2}, False),
        ({"gain": 0.2}, False),
        ({"gain": math.nan, "gain_standard_error": math.nan}, False),
        ({"rise_standard_error_size": 2}, False),
        ({"rise_standard_error_size": 1}, False),
    ],
)
def test_rise_and_gain_are_both_beyond_chance(told: dict[str, float], is_found: bool) -> None:
    """A student has no training examples to gain; of two values, 236 errors are chance, and of one, anything."""
    last = {"rise": 2.0, "rise_standard_error": 0.1, "gain": 1.0, "gain_standard_error": 0.1}
    last |= {"rise_standard_error_size": EXAMPLES, **told}
    compared = {f"valid/{name}": [(20, value)] for name, value in last.items()}
    assert (overfitting({"valid/nll": [(10, 1.0), (15, 2.0), (20, 3.0)], **compared}) is not None) is is_found


def test_validation_that_falls_or_was_never_compared_is_none() -> None:
    ease = torch.randn(EXAMPLES)
    assert overfitting(logged([ease - 2, ease], [0.0, 1.0])) is None
    assert overfitting(logged([ease], [0.0])) is None
    assert overfitting({"valid/loss": [(10, 1.0), (20, 2.0)]}) is None


def test_some_training_examples_are_any_of_them() -> None:
    """Of a split in the order of its classes, the first would be of one class."""
    split = Batch(torch.arange(1000.0)[:, None], torch.arange(1000))
    setup: Any = SimpleNamespace(
        data=SimpleNamespace(splits={"train": split}),
        scored=lambda _: split,
        seen=lambda batch, _: batch,
        log_jacobian=lambda _: split.x[:, 0],
    )
    setup.places = partial(Setup.places, setup)
    (some, log_jacobian), (again, _) = (examples(setup, "train", torch.device("cpu"), 100) for _ in range(2))
    assert len(set(some.index.tolist())) == 100
    assert torch.equal(some.index, again.index)
    assert abs(float(some.x.mean()) - 499.5) < 4.5 * 1000 / math.sqrt(12 * 100)
    assert torch.equal(some.x[:, 0], log_jacobian)


def test_chance_is_rarely_over_fitting() -> None:
    """The least of ten is compared with the last: without Bonferroni's inequality, ten times as many."""
    scores = torch.randn(REPETITIONS, VALIDATIONS, EXAMPLES)
    losses = -scores.mean(2)
    least = scores[torch.arange(REPETITIONS), losses[:, :-1].argmin(1)]
    d = least - scores[:, -1]
    rises, errors = d.mean(1).tolist(), (d.std(1) / math.sqrt(EXAMPLES)).tolist()
    alarms = 0
    for loss, risen, error in zip(losses.tolist(), rises, errors, strict=True):
        last = {"rise": risen, "rise_standard_error": error, "rise_standard_error_size": EXAMPLES}
        last |= {"gain": 1.0, "gain_standard_error": 0.0}
        told = {f"valid/{name}": [(VALIDATIONS - 1, value)] for name, value in last.items()}
        alarms += overfitting({"valid/nll": list(enumerate(loss)), **told}) is not None
    assert alarms <= ALARMS


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
    found = overfitting(curves(tmp_path / "run"))
    assert found is not None
    assert found.step == 20
