"""Likelihoods and samples are in original units, whatever the model sees."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from dgmrun.estimators.density import NORMALISED, log_likelihood
from dgmrun.estimators.units import in_original_units
from dgmrun.protocols.values import Estimate
from tests.conftest import BINARY, NORMAL

Command = Callable[..., int]
MODEL = (*NORMAL, "optimizer.lr=1e-9")
SHORT = ("trainer.max_steps=2", "trainer.validate_every_n_steps=2", "train", "likelihood", "sample")
LOG_Z = Estimate(
    "log_likelihood", 3.0, 0.5, (1.0, 4.0), "estimate", "down", curve=[(10, 3.5, 1.0, 5.0), (100, 3.0, None, 4.0)]
)


@pytest.mark.parametrize(
    "log_z",
    [
        NORMALISED,
        LOG_Z,
        dataclasses.replace(LOG_Z, interval=(None, 4.0)),
        dataclasses.replace(LOG_Z, interval=None, standard_error=None),
    ],
)
def test_the_figure_is_that_of_the_sums(log_z: Estimate) -> None:
    """As if the model's own log-probabilities had been in original units: value, error and interval."""
    log_f, log_jacobian = torch.randn(2, 200, dtype=torch.float64)
    log_jacobian = 3 * log_jacobian - 0.5 * log_f - 10
    new, found = in_original_units((log_f - log_z.value, log_likelihood(log_f, log_z)), log_jacobian)
    expected = log_likelihood(log_f + log_jacobian, log_z)
    assert torch.allclose(new, log_f + log_jacobian - log_z.value)
    for part in ("value", "standard_error", "interval", "diagnostics"):
        assert getattr(found, part) == pytest.approx(getattr(expected, part), nan_ok=True), part


def test_a_curve_ends_at_its_figure() -> None:
    new = in_original_units((torch.randn(50), LOG_Z), torch.full((50,), -2.0))[1]
    assert new.curve[-1] == pytest.approx((100, new.value, None, 2.0))
    assert new.curve[0] == pytest.approx((10, 1.5, -1.0, 3.0))


def test_without_a_transform_nothing_changes() -> None:
    log_prob, estimate = torch.randn(50), log_likelihood(torch.randn(50).double(), LOG_Z)
    assert in_original_units((log_prob, estimate), torch.zeros(50)) == (log_prob, estimate)


def results(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "results.json").read_text())
    return content


def test_a_fitted_gaussian_scores_the_same_standardised(dgmrun: Command, tmp_path: Path) -> None:
    found = {}
    numpy.save("x.npy", numpy.random.default_rng(0).normal([3.0, -50.0], [0.1, 20.0], (500, 2)))
    for transform in ("none", "standardise"):
        words = ("dataset=file", "dataset.path=x.npy", f"dataset.transform={transform}", *SHORT)
        assert dgmrun(*MODEL, *words, f"hydra.run.dir={transform}") == 0
        found[transform] = results(tmp_path / transform)
        assert found[transform]["dataset"]["transform"] == transform
        assert found[transform]["dataset"]["levels"] is None
    plain, standardised = (each["likelihood"]["exact"] for each in found.values())
    for part in ("value", "standard_error", "interval"):
        assert standardised[part] == pytest.approx(plain[part], rel=1e-4)
    samples, again = (numpy.load(tmp_path / run / "samples.npz", allow_pickle=False) for run in found)
    for name in ("data", "x"):
        assert (samples[name].dtype, again[name].dtype) == (numpy.float32, numpy.float64)
        assert again[name] == pytest.approx(samples[name], rel=1e-3, abs=1e-3)


def test_a_split_that_is_the_population_has_no_sampling_error(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun("model=nade", "model.hidden=2", *BINARY, *SHORT[:-1], "hydra.run.dir=run") == 0
    assert "test, 6 examples, the whole population" in capsys.readouterr().err
    exact = results(tmp_path / "run")["likelihood"]["exact"]
    assert (exact["standard_error"], exact["interval"]) == (0.0, [exact["value"]] * 2)
    assert dgmrun("run=run", "likelihood", "likelihood.examples=4") == 0
    assert "test, 4 examples of a population of 6" in capsys.readouterr().err
    assert results(tmp_path / "run")["likelihood"]["exact"]["standard_error"] > 0


def test_transforms_of_the_same_pictures_never_meet(
    dgmrun: Command, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {"a": "dequantise", "b": "dequantise", "c": "logit", "d": "levels"}
    for run, transform in runs.items():
        words = ("dataset=frey_faces", f"data_dir={data_dir}", f"dataset.transform={transform}", *SHORT)
        assert dgmrun(*MODEL, *words, f"hydra.run.dir=runs/{run}") == 0
        said = capsys.readouterr()
        entry, dataset = (
            results(tmp_path / "runs" / run)["likelihood"]["exact"],
            results(tmp_path / "runs" / run)["dataset"],
        )
        assert (dataset["levels"], dataset["dims"]) == (256, 560)
        bits = -entry["value"] / (560 * math.log(2))
        assert 3 < bits < 8
        told = re.search(r"([\d.]+) \+- [\d.]+ bits per dimension, " + transform, said.out + said.err)
        assert float(told[1]) == pytest.approx(bits, abs=1e-3)
        with numpy.load(tmp_path / "runs" / run / "samples.npz", allow_pickle=False) as samples:
            assert samples["data"].dtype == (numpy.uint8 if transform == "levels" else numpy.float32)
            assert 0 <= samples["data"].min() < 50 < 200 < samples["data"].max() < 256
    assert dgmrun("compare", "runs") == 0
    ranked = [part.partition("settings, best first")[0] for part in capsys.readouterr().out.split("trained models")[1:]]
    assert "bits per dimension" in ranked[0]
    assert [re.findall(r" ([a-d])$", part, re.MULTILINE) for part in ranked] in (
        [["a", "b"], ["c"], ["d"]],
        [["b", "a"], ["c"], ["d"]],
    )


def test_a_student_sees_what_its_teacher_sees(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("dataset=moons", "dataset.sizes=[50,20,20]", "dataset.batch_size=10")
    assert dgmrun(*MODEL, *data, "dataset.transform=standardise", *SHORT, "hydra.run.dir=teacher") == 0
    student = (*MODEL, *data, "objective=distill_kl", "objective.teacher=teacher", *SHORT)
    assert dgmrun(*student, "hydra.run.dir=other") == 2
    assert "must be a run of the transform none, as this run has, but" in capsys.readouterr().err
    assert dgmrun(*student, "dataset.transform=standardise", "hydra.run.dir=student") == 0
    with numpy.load("student/samples.npz", allow_pickle=False) as samples:
        assert samples["teacher"].mean(0) == pytest.approx(samples["data"].mean(0), abs=1)
