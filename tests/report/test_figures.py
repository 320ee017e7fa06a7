"""A figure on its way through results.json: written, checked and read by the same fields."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dgmrun.protocols.quantities import QUANTITIES
from dgmrun.protocols.text import with_error
from dgmrun.protocols.values import Estimate
from dgmrun.report.figures import cell, every
from dgmrun.run import untrusted
from dgmrun.run.figures import Figure, Identity, figures
from tests.figure import entry, identity

OURS, TEACHER, OTHER = "a" * 64, "b" * 64, "c" * 64


def figure(**parts: Any) -> Figure:
    estimate = Estimate(
        "log_likelihood",
        -20.5,
        0.25,
        (-22.0, None),
        "lower_bound",
        "down",
        samples=100,
        effective_sample_size=31.5,
        settings={"num_samples": 100, "of": {"spacing": "linear"}},
        diagnostics={"gap": 0.5, "unknown": None},
        warnings=["few chains"],
        curve=[(10, -21.0, -23.0, None), (100, -20.5, -22.0, -19.0)],
    )
    provenance = {"of": Identity("outputs/run", 200, OURS), "seconds": 1.5, "split": "test", "examples": 50}
    return Figure.made(estimate, **(provenance | {"size": 784.0, "given": "labels"} | parts))


@pytest.mark.parametrize("proposal", [None, Identity("outputs/student", 30, TEACHER)])
def test_a_figure_comes_back_as_it_was_written(proposal: Identity | None, tmp_path: Path) -> None:
    whole = figure(proposal=proposal)
    assert Figure.from_json(whole.to_json()) == whole
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"status": "done", "likelihood": {"importance": whole.to_json()}}))
    read = figures(untrusted.results(file))["likelihood"]["importance"]
    assert json.dumps(read.to_json()) == json.dumps(whole.to_json())
    assert (read.of, read.proposal, read.interval) == (whole.of, proposal, whole.interval)


def test_the_unit_is_that_of_the_quantity() -> None:
    assert figure().to_json()["unit"] == "nats"
    assert figure().known == QUANTITIES["log_likelihood"]
    assert Figure.from_json(entry("coverage", 0.5, OURS)).unit == "of 1"
    stranger = Figure.from_json(entry("beauty", 0.5, OURS) | {"unit": "smiles"})
    assert (stranger.unit, stranger.known.is_ranked) == ("", False)


@pytest.mark.parametrize("part", [part.name for part in fields(Figure)])
def test_an_entry_that_lacks_a_part_is_no_figure(part: str) -> None:
    lacking = figure().to_json()
    del lacking[part]
    with pytest.raises(ValueError, match=f"it lacks {part}"):
        Figure.from_json(lacking)
    assert every({"likelihood": {"a": lacking, "b": figure().to_json()}}) == {"likelihood.b": figure()}


@pytest.mark.parametrize("part", ["run", "step", "weights_sha256"])
def test_so_is_one_of_weights_that_are_not_told(part: str) -> None:
    whole = figure().to_json()
    del whole["of"][part]
    assert figures({"likelihood": {"exact": whole}}) == {}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("quantity", 3),
        ("value", "x"),
        ("value", True),
        ("standard_error", [0.1]),
        ("interval", [1.0]),
        ("interval", [1.0, "x"]),
        ("interval", {"low": 1.0}),
        ("kind", "guess"),
        ("bias", "sideways"),
        ("samples", 1.5),
        ("samples", -1),
        ("settings", []),
        ("diagnostics", {"gap": "wide"}),
        ("warnings", "few chains"),
        ("warnings", [3]),
        ("curve", [[10, 1.0]]),
        ("curve", [[10.5, 1.0, None, None]]),
        ("curve", [[10, "x", None, None]]),
        ("of", "outputs/run"),
        ("of", {**identity(OURS), "step": "last"}),
        ("proposal", {**identity(OURS), "weights_sha256": 1}),
        ("seconds", "long"),
        ("split", 1),
        ("examples", 2.5),
        ("size", "large"),
        ("given", ["labels"]),
    ],
)
@pytest.mark.parametrize("word", ["likelihood", "a stage of another version"])
def test_a_part_of_a_wrong_type_makes_the_file_refused(part: str, value: Any, word: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps({word: {"exact": figure().to_json()}}))
    assert untrusted.results(file)
    file.write_text(json.dumps({word: {"exact": figure().to_json() | {part: value}}}))
    with pytest.raises(ValueError, match=f"{word}.exact"):
        untrusted.results(file)


def test_a_figure_is_stale_where_it_is_neither_of_nor_through_the_weights() -> None:
    own, through = figure(), figure(proposal=Identity("outputs/student", 30, TEACHER))
    assert [own.is_stale(weights) for weights in (OURS, OTHER, None)] == [False, True, False]
    assert [through.is_stale(weights) for weights in (OURS, TEACHER, OTHER, None)] == [False, False, True, False]
    assert [own.is_of_another(weights) for weights in (OURS, TEACHER, None)] == [False, False, False]
    assert [through.is_of_another(weights) for weights in (OURS, TEACHER, OTHER, None)] == [False, True, False, False]


@pytest.mark.parametrize(
    ("features", "shown"),
    [
        (None, "3.000 +- 0.500 kid"),
        (7, "3.000 +- 0.500 kid"),
        ("standardised x", "3.000 +- 0.500 kid by standardised x"),
        ({"run": "outputs/a", "step": 3, "weights_sha256": OTHER}, "kid by features of a (cccccccc)"),
        ({"run": "outputs/\x1b[2J"}, "kid by features of "),
    ],
)
def test_a_cell_names_the_features_that_a_figure_rests_on(features: Any, shown: str) -> None:
    whole = figure().to_json() | {"quantity": "kid", "value": 3.0, "standard_error": 0.5, "kind": "estimate"}
    one = Figure.from_json(whole | {"warnings": [], "settings": {"features": features}})
    assert shown in cell(one, OURS)
    assert "\x1b" not in cell(one, OURS)


def test_no_zero_is_negative() -> None:
    assert with_error(-0.0, None) == "0.000 +- ?"
    assert with_error(-0.0004, 0.1) == "0.000 +- 0.100"
    assert with_error(-0.0004, 0.001) == "-0.0004 +- 0.0010"
