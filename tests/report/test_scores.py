"""The plot of scores against the only setting that varies, if it is a number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgmrun.pictures import scores
from dgmrun.pictures.drawing import Picture
from dgmrun.report.runs import read
from tests.report.test_compare import LOG_PROB, config, estimate, score, write

SHIFTS = {"train": 2.0, "valid": 1.0, "test": 0.0}


def runs(
    folder: Path, key: str, values: Sequence[Any], peak: float, seeds: int = 1, more_seeds: int = 0, **more: Any
) -> Picture | None:
    """Draws runs with a value each, that are the better on valid and test the nearer they are to `peak`.

    The first value has `more_seeds` seeds more.
    """
    for number, value in enumerate(values):
        for seed in range(seeds + (0 if number else more_seeds)):
            off = {name: shift - 0.1 * abs(number - peak) + 0.01 * seed for name, shift in SHIFTS.items()}
            figures = {
                "exact" if name == "test" else f"exact@{name}": estimate(LOG_PROB.mean() + shift, split=name)
                for name, shift in off.items()
            }
            facts = {"splits": {name: {"sha256": name} for name in SHIFTS}}
            settings = config(seed=seed, model={key: value}, **more)
            run = write(folder / f"{number}-{seed}", figures, facts, settings)
            for name, shift in off.items():
                score(run, LOG_PROB + shift, f"{name}-exact")
    return scores.of(read([folder]))


def told(picture: Picture | None) -> dict[str, list[Any]]:
    assert picture is not None
    return {name: list(column) for name, column in picture.data.items()}


def test_each_split_is_a_line_and_the_best_of_valid_is_marked(tmp_path: Path) -> None:
    picture = runs(tmp_path, "hidden", [300, 1, 30], peak=2)
    columns = told(picture)
    assert columns["split"] == ["train"] * 3 + ["valid"] * 3 + ["test"] * 3
    assert columns["value"] == [1, 30, 300] * 3
    assert columns["score"][-3:] == pytest.approx(LOG_PROB.mean() - np.array([0.1, 0.0, 0.2]))
    assert columns["standard_error"] == [0.25] * 9, "one seed: that over examples"
    (axes,) = picture.axes
    assert (axes.get_xlabel(), axes.get_xscale()) == ("model.hidden", "log")
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert set(legend) == {"train", "valid", "test", "best of valid: 30"}


def test_over_seeds_it_is_mean_and_standard_error(tmp_path: Path) -> None:
    columns = told(runs(tmp_path, "hidden", [10, 20], peak=0, seeds=3))
    assert columns["score"][-2:] == pytest.approx(LOG_PROB.mean() + np.array([0.01, -0.09]))
    assert columns["standard_error"] == pytest.approx([0.01 / np.sqrt(3)] * 6)
    assert columns["seeds"] == [3] * 6


def test_one_seed_beside_several_has_no_error(tmp_path: Path) -> None:
    runs(tmp_path / "many", "hidden", [10], peak=0, seeds=3)
    runs(tmp_path / "one", "hidden", [20], peak=0)
    picture = scores.of(read([tmp_path]))
    columns = told(picture)
    assert columns["seeds"] == [3, 1] * 3
    assert columns["standard_error"] == pytest.approx([0.01 / np.sqrt(3), np.nan] * 3, nan_ok=True)
    assert picture is not None
    (axes,) = picture.axes
    assert axes.get_title() == "mean +- one standard error over seeds; no bar: one seed"
    (line,) = axes.containers[0].lines[2]
    assert [len(bar) for bar in line.get_segments()] == [2, 0], "ends of a bar"


@pytest.mark.parametrize(
    ("seeds", "more_seeds", "title"),
    [
        (1, 0, "one seed, +- one standard error over examples"),
        (2, 0, "mean +- one standard error over seeds"),
        (1, 1, "mean +- one standard error over seeds; no bar: one seed"),
    ],
)
def test_the_title_says_what_errors_are_over(seeds: int, more_seeds: int, title: str, tmp_path: Path) -> None:
    picture = runs(tmp_path, "hidden", [1, 2], peak=0, seeds=seeds, more_seeds=more_seeds)
    assert picture is not None
    assert picture.axes[0].get_title() == title


def test_an_error_below_0_of_an_edited_file_is_no_bar(tmp_path: Path) -> None:
    runs(tmp_path, "hidden", [1, 2], peak=0)
    for file in tmp_path.glob("*/results.json"):
        file.write_text(file.read_text().replace('"standard_error": 0.25', '"standard_error": -5.0'))
    assert told(scores.of(read([tmp_path])))["standard_error"] == [0.0] * 6


@pytest.mark.parametrize(
    ("values", "scale"),
    [([0, 0.01, 1], "symlog"), ([1, 2, 9], "linear"), ([-1, 0, 100], "linear"), ([0, 5], "linear"), ([0], None)],
)
def test_the_axis_suits_the_values(values: list[float], scale: str | None, tmp_path: Path) -> None:
    picture = runs(tmp_path, "l2", values, peak=1)
    assert (None if picture is None else picture.axes[0].get_xscale()) == scale


def test_a_list_of_one_number_is_a_number(tmp_path: Path) -> None:
    assert told(runs(tmp_path, "hidden", [[5], [50]], peak=0))["value"] == [5, 50] * 3


@pytest.mark.parametrize("values", [["a", "b"], [1, "nan"], [1, 1e300], [[1], [1, 2]], [1, None], [1, True]], ids=str)
def test_what_is_no_number_has_no_plot(values: list[Any], tmp_path: Path) -> None:
    assert runs(tmp_path, "hidden", values, peak=0) is None


def test_two_settings_have_no_plot(tmp_path: Path) -> None:
    assert runs(tmp_path / "a", "hidden", [1, 2], peak=0) is not None
    assert runs(tmp_path / "b", "hidden", [1, 2], peak=0, optimizer={"lr": 0.1}) is not None
    assert scores.of(read([tmp_path])) is None
