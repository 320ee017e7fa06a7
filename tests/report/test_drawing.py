"""Pictures for a paper: formats with their numbers, pair plots, colour bars, and curves that no frame cuts."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest

from dgmrun.pictures import drawing, gallery, latent, training
from dgmrun.pictures.evidence import Curves, curves
from dgmrun.pictures.pairs import pairs, suit
from dgmrun.run.directory import Run

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(50, 4))


@pytest.mark.drawn
def test_each_format_has_its_numbers_beside_it(tmp_path: Path) -> None:
    figure = training.curves({"train/loss": [(1, 3.5), (2, 2.5)]}, {"train/loss": {2: 0.5}})
    written = drawing.save(tmp_path / "curve.png", figure, ["pdf", "png", "svg"])
    assert written == [tmp_path / f"curve.{ending}" for ending in ("pdf", "png", "svg", "csv")]
    heads = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}
    assert all((tmp_path / f"curve.{ending}").read_bytes().startswith(head) for ending, head in heads.items())
    with (tmp_path / "curve.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["curve", "step", "value", "standard_error"],
            ["train/loss", "1", "3.5", ""],
            ["train/loss", "2", "2.5", "0.5"],
        ]
    before = (tmp_path / "curve.svg").read_bytes()
    drawing.save(tmp_path / "curve.png", figure, ["svg"])
    assert (tmp_path / "curve.svg").read_bytes() == before


def test_a_run_keeps_no_older_picture_in_another_format(tmp_path: Path) -> None:
    run, figure = Run(tmp_path), training.curves({"train/loss": [(1, 3.5)]}, {"train/loss": {}})
    drawing.keep(run, "curve", figure, ["png", "svg"])
    (tmp_path / "figures" / "curve.txt").touch()
    drawing.keep(run, "curve", figure, ["pdf"])
    assert sorted(file.suffix for file in (tmp_path / "figures").iterdir()) == [".csv", ".pdf", ".txt"]


def test_a_single_point_of_a_curve_is_seen() -> None:
    values = {"valid/nll": [(50, 3.5)], "train/loss": [(step, 1.0 + step) for step in range(training.FEW + 1)]}
    single, many = training.curves(values, {"valid/nll": {50: 0.5}, "train/loss": {}}).axes
    (point, *_), (line, *_) = single.lines, many.lines
    assert (point.get_marker(), line.get_marker()) == ("o", "None")
    (bar,) = single.collections
    assert np.array_equal(bar.get_segments(), [[[50, 3.0], [50, 4.0]]])


@pytest.mark.parametrize("start", [100, 900])
def test_over_fitting_is_shaded_from_the_least_validation_on(start: int) -> None:
    rows = [(step, 1.0 + step) for step in range(100, 1001, 100)]
    values = {"valid/nll": rows, "train/loss": rows}
    for axes in training.curves(values, {tag: {} for tag in values}, start).axes:
        (shade,) = axes.patches
        assert shade.get_bbox().intervalx.tolist() == [start, 1000]
    (text,) = training.curves(values, {tag: {} for tag in values}, start).axes[0].texts
    assert text.get_text() == f"least at step {start}, over-fitting after it"
    assert text.get_horizontalalignment() == ("left" if start == 100 else "right")
    assert not training.curves(values, {tag: {} for tag in values}).axes[0].patches


def test_the_numbers_of_panels_are_the_examples(tmp_path: Path) -> None:
    panels = {"data": TABLE, "../a: b": TABLE[:9]}
    drawing.save(tmp_path / "samples.png", gallery.samples(panels))
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as held:
        assert list(held["titles"]) == list(panels)
        assert np.array_equal(held["panel_1"], TABLE)
        assert np.array_equal(held["panel_2"], TABLE[:9])


@pytest.mark.parametrize("columns", [1, 2, 6])
def test_a_table_of_few_columns_is_a_pair_plot(columns: int) -> None:
    x = RNG.normal(size=(40, columns))
    figure = pairs({"data": x, "samples": x + 1e6})
    of_data, of_samples = figure.subfigs
    assert len(of_data.axes) == len(of_samples.axes) == columns * (columns + 1) // 2
    for place in range(columns * (columns + 1) // 2):
        assert of_data.axes[place].get_xlim() == of_samples.axes[place].get_xlim()
    if columns > 1:
        (points,) = of_data.axes[1].collections
        assert np.array_equal(points.get_offsets(), x[:, :2])
    assert abs(of_data.axes[0].get_xlim()[0]) < 100, "samples far away do not hide the data"


def test_only_few_columns_of_numbers_suit_a_pair_plot() -> None:
    assert suit(TABLE)
    assert not suit(np.zeros((5, 7)))
    assert not suit(np.array([[0, 1], [1, 1]]))
    assert not suit(np.zeros((5, 1, 2, 2)))


@pytest.mark.drawn
def test_values_have_a_colour_bar_and_a_matrix_axes() -> None:
    axes, bar = gallery.valued(TABLE, "activity", "p(h = 1 | x)", "example", "hidden unit").axes
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("activity", "hidden unit", "example")
    assert bar.get_ylabel() == "p(h = 1 | x)"
    assert bar.get_ylim() == pytest.approx((TABLE.min(), TABLE.max()))
    assert len(gallery.valued(RNG.random((4, 3, 2, 2)), "dreams", "x", "", "").axes) == 1, "colours have no scale"


def test_no_curve_is_cut_at_the_frame() -> None:
    rows = [(float(n), -20.0 - 1000 / n**2, None, None) for n in range(1, 101)]
    (axes,) = curves({"": Curves({"importance": rows}, None)}).axes
    low, high = axes.get_ylim()
    (line,) = axes.lines
    y = np.asarray(line.get_ydata())
    assert ((low < y) & (y < high)).all()
    assert y[-1] == rows[-1][1]
    (axes,) = training.curves({"train/loss": [(1, 5000.0), (2, 20.0), (3, 19.0)]}, {"train/loss": {}}).axes
    assert axes.get_ylim()[0] < 19 < 5000 < axes.get_ylim()[1]


def test_powers_of_ten_are_plain_numbers() -> None:
    (axes,) = latent.activity([np.array([1.0, 1e-4])], 1e-2).axes
    assert [axes.yaxis.get_major_formatter()(value) for value in (1.0, 0.01)] == ["1", "0.01"]


def test_a_picture_that_fails_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dgmrun"), drawing.harmless("the critic"):
        raise ValueError("no\x1b[31m room")
    (record,) = caplog.records
    assert record.getMessage().startswith("warning: there is no picture of the critic: no")
    assert "\x1b" not in record.getMessage()
