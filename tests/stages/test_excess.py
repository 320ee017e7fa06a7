"""A bound by a ratio net that has learned nothing exceeds annealing, and is flagged, whichever was measured first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch

from dgmrun.protocols.values import SIZED, Batch, Estimate, Event, Evidence
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure, Identity
from dgmrun.workbench import excess, scoring

Command = Callable[..., int]
TRAINED = (
    "model=implicit_vae model.hidden=20 model.ratio_hidden=5 model.contrast=prior objective.rate=1e-9 "
    "trainer.max_steps=60 trainer.validate_every_n_steps=60 hydra.run.dir=run likelihood.examples=20 "
    "likelihood.ais.num_chains=2 likelihood.ais.num_temperatures=30 likelihood.avb.num_samples=10"
).split()


def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("run/results.json").read_text())["likelihood"]
    return found


def test_a_bound_that_exceeds_annealing_is_flagged_whichever_is_measured_first(
    dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun(*TRAINED, "train", "likelihood") == 0
    assert figures().keys() == {"avb"}, "annealing runs on request alone"
    assert (figures()["avb"]["warnings"], figures()["avb"]["interval"]) == ([], [None, None])
    assert "estimate, direction unknown" in capsys.readouterr().err
    for methods in ("ais", "avb"):
        assert dgmrun("run=run", "likelihood", f"likelihood.methods=[{methods}]") == 0
        (told,) = figures()["avb"]["warnings"]
        assert told.startswith("it exceeds likelihood.ais by ")
        assert told.endswith("; train longer, raise objective.k, or set model.contrast=adaptive")
        assert f"warning: likelihood.avb: {told}" in capsys.readouterr().err
    assert not any("exceeds" in told for told in figures()["ais"]["warnings"])
    assert dgmrun("compare", "run", "--runs") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "implicit_vae" in line]
    assert f"~ {figures()['avb']['value']:.3f}" in line
    assert " !" in line
    assert_flagged_by_paired_differences(Run.open("run"))


@pytest.mark.parametrize(
    ("kind", "value", "error", "is_told"),
    [
        ("binary", 5.0, 1.0, True),
        ("tokens", 2e-3, 0.0, True),
        ("counts", 5.0, None, True),
        ("binary", 2.0, 1.0, False),
        ("categorical", 1e-6, 0.0, False),
        ("levels", -5.0, 1.0, False),
        ("unit", 5.0, 1.0, False),
        ("real", 5.0, 1.0, False),
    ],
)
def test_no_probability_is_above_one_and_a_density_may_be(
    kind: str, value: float, error: float | None, is_told: bool
) -> None:
    estimate = Estimate("log_likelihood", value, error, (None, None), "estimate", "unknown")
    figure = Figure.made(estimate, of=Identity("run", 0, ""), seconds=0.0, examples=100)
    event = Event((4,), kind, 3 if kind in SIZED else None)
    told = excess.impossible(event, figure)
    assert [each.startswith("it is above 0") for each in told] == [True] * is_told


def test_whatever_measures_it_a_probability_above_one_is_told_of() -> None:
    batch, log_p = Batch(torch.zeros(20, 4), torch.arange(20)), torch.full((20,), 5.0, dtype=torch.float64)
    setup: Any = SimpleNamespace(event=Event((4,), "binary"), config={"given": None})
    run: Any = SimpleNamespace(identity=lambda: Identity("run", 0, ""))
    estimate = Estimate("log_likelihood", 5.0, 0.0, (5.0, 5.0), "exact", "none")
    scored = scoring.Scored(Evidence(batch, batch), batch.index, torch.zeros(20, dtype=torch.float64))
    _, figure = scoring.measured(run, setup, lambda model, evidence: (log_p, estimate), None, scored, "test")
    assert figure.warnings == excess.impossible(setup.event, figure) != []


def assert_flagged_by_paired_differences(run: Run) -> None:
    """Not where they are below 0, nor within their error, nor of other examples; and no longer, once that is so."""
    scores = dict(numpy.load("run/per_example/test-avb.npz"))
    bound = numpy.load("run/per_example/test-ais.npz")["log_prob"]
    alternating = numpy.resize([3.0, -2.8], len(bound))
    shifts = {"below": bound - 0.1, "level": bound + alternating, "above": bound + 0.1 + alternating / 100}
    for name, values in {**shifts, "few": scores["log_prob"]}.items():
        index = scores["index"] + (1000 if name == "few" else 0)
        run.write_arrays("per_example/test-avb.npz", log_prob=values, index=index)
        excess.flag(run, ["avb"], None)
        assert bool(figures()["avb"]["warnings"]) == (name == "above"), name
