"""A bound by a ratio net that has learned nothing exceeds annealing, and is flagged, whichever was measured first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., int]
TRAINED = (
    "model=implicit_vae model.hidden=50 model.ratio_hidden=10 model.basis=4 objective.rate=1e-9 trainer.max_steps=150 "
    "trainer.validate_every_n_steps=150 hydra.run.dir=run likelihood.examples=40 likelihood.ais.num_chains=2 "
    "likelihood.ais.num_temperatures=60 likelihood.avb.num_samples=10"
).split()


def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("run/results.json").read_text())["likelihood"]
    return found


def test_a_bound_that_exceeds_annealing_is_flagged_in_either_order(
    dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun(*TRAINED, "model.contrast=prior", "train", "likelihood") == 0
    assert figures().keys() == {"avb"}, "annealing runs on request alone"
    assert (figures()["avb"]["warnings"], figures()["avb"]["interval"]) == ([], [None, None])
    assert "estimate, direction unknown" in capsys.readouterr().err
    for methods in ("ais", "avb"):
        assert dgmrun("run=run", "likelihood", f"likelihood.methods=[{methods}]") == 0
        (told,) = figures()["avb"]["warnings"]
        assert told.startswith("it exceeds likelihood.ais by ")
        assert "its ratio net understates the divergence of the posterior" in told
        assert f"warning: likelihood.avb: {told}" in capsys.readouterr().err
    assert not any("exceeds" in told for told in figures()["ais"]["warnings"])
    assert dgmrun("compare", "run", "--runs") == 0
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if "~ " in line]
    assert f"~ {figures()['avb']['value']:.3f}" in line
    assert " !" in line


def test_a_bound_with_adaptive_contrast_does_not(dgmrun: Command) -> None:
    """Its divergence from the prior is exact but for what a Gaussian misses, so that an idle ratio net hides little."""
    both = "likelihood.methods=[avb,ais]"
    assert dgmrun(*TRAINED, "train", "likelihood", both) == 0
    assert figures()["avb"]["warnings"] == []
    assert figures()["avb"]["value"] < figures()["ais"]["value"]
