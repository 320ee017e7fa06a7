"""`dgmrun compare` over runs given different things, which are ranked apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dgmrun.report.runs import read
from tests.report.test_compare import LOG_PROB, config, printed, rankings, scored

GIVEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "labels": {"given": "labels"},
    "labels (captions of up to 4 words)": {"given": "labels", "labels": "captions of up to 4 words"},
    "labels (2 real attributes: age, size)": {"given": "labels", "labels": "2 real attributes"},
    "x": {"given": "x", "kind": "categorical"},
}
"""What runs may be given, as it is told."""


def test_runs_given_different_things_are_ranked_apart_and_it_is_said_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (given, dataset) in enumerate(GIVEN.items()):
        settings = {"dataset": {"label": ["age", "size"] if "age" in given else "auto"}}
        for seed in (0, 1):
            own = {"dataset": dataset, "settings": config(seed=seed, **settings)}
            scored(tmp_path / f"{number}-{seed}", LOG_PROB + 0.1 * seed, **own)
    places = rankings(read([tmp_path]))
    assert [len(place) for place in places] == [2] * len(GIVEN)
    shown = " ".join(printed(capsys, tmp_path, "--wide").split())
    for given in GIVEN:
        said = shown.partition(f"Given {given}, and not ranked with runs given ")[2]
        others = said.partition(": their likelihoods")[0]
        assert all(each in others for each in GIVEN if each != given)
        assert given == "nothing" or f"digits, given {given}, test split, 50 examples: settings" in shown


def test_runs_given_labels_of_other_columns_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for column, sha in (("age", "a"), ("size", "b")):
        dataset = {"given": "labels", "splits": {"test": {"sha256": sha * 64}}}
        scored(tmp_path / column, LOG_PROB, dataset=dataset, settings=config(dataset={"label": column}))
    assert rankings(read([tmp_path])) == []
    shown = " ".join(printed(capsys, tmp_path).split())
    assert "Given labels (age), and not ranked with runs given labels (size): their" in shown


def test_splits_that_were_divided_otherwise_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, how in enumerate(("split by function", "split by line")):
        dataset = {"division": how, "splits": {"test": {"sha256": str(number) * 64}}}
        for seed in (0, 1):
            own = {"dataset": dataset, "settings": config(seed=seed)}
            scored(tmp_path / f"{number}-{seed}", LOG_PROB + 0.1 * seed, **own)
    shown = " ".join(printed(capsys, tmp_path).split())
    for how in ("split by function", "split by line"):
        assert f"digits, {how}, test split, 50 examples: settings" in shown
