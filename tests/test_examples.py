"""Scripts among the examples run."""

from __future__ import annotations

import csv
import runpy
import sys
from pathlib import Path

import pytest
import torch

from dgmrun.estimators import enumeration
from dgmrun.models.rbm import RBM
from dgmrun.protocols.values import Event

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_both_ways_to_the_determinant_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script itself asserts that they give the same number."""
    monkeypatch.setattr(sys, "argv", ["log_determinant.py", str(tmp_path / "cost.png"), "--dims", "2", "4", "8"])
    runpy.run_path(str(EXAMPLES / "log_determinant.py"), run_name="__main__")
    rows = list(csv.DictReader((tmp_path / "cost.csv").read_text().splitlines()))
    assert [row.pop("dims") for row in rows] == ["2", "4", "8"]
    assert all(float(milliseconds) > 0 for row in rows for milliseconds in row.values())
    assert (tmp_path / "cost.png").is_file()


def test_what_a_pixel_sees_is_drawn_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gates, the middle of 9 x 9 pixels misses the last of the row above, too far for a convolution of 7."""
    monkeypatch.setattr(sys, "argv", ["receptive_fields.py", str(tmp_path / "fields.png"), "--size", "9"])
    runpy.run_path(str(EXAMPLES / "receptive_fields.py"), run_name="__main__")
    rows = {row.pop("model"): row for row in csv.DictReader((tmp_path / "fields.csv").read_text().splitlines())}
    assert rows["pixelcnn, gated"]["pixels seen of 40"] == "40.0"
    assert {rows[name]["pixels seen of 40"] for name in ("pixelcnn, plain", "row_lstm", "diagonal_bilstm")} == {"39.0"}
    assert all(float(value) > 0 for row in rows.values() for value in row.values())
    assert (tmp_path / "fields.png").is_file()


def test_ladders_find_the_exact_log_z() -> None:
    """Within 4 standard errors by the scatter of 100 ladders, far from log Z of the base."""
    rbm = RBM(Event((8,), "binary"), hidden=6, weight_std=1.5)
    path = rbm.annealed(torch.tensor([[0.0], [1.0]]).expand(2, 8))
    exact = float(torch.logsumexp(enumeration.log_masses(rbm), 0))
    with torch.no_grad():
        value, error = runpy.run_path(str(EXAMPLES / "replica_exchange.py"))["exchange"](path, 4, 100, 100)
    assert 0 < error < 0.05 < abs(exact - path.log_normaliser()) / 10
    assert abs(value - exact) < 4 * error


@pytest.mark.slow
def test_six_objectives_have_one_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = (str(tmp_path / "bound.png"), "--steps", "20", "--runs", str(tmp_path / "runs"))
    monkeypatch.setattr(sys, "argv", ["one_bound.py", *folders])
    runpy.run_path(str(EXAMPLES / "one_bound.py"), run_name="__main__")
    rows = list(csv.DictReader((tmp_path / "bound.csv").read_text().splitlines()))
    assert [row["logged as"] for row in rows] == ["train/bound"] * 3 + ["train/chain_bound"] * 3
    assert all(float(row["nats"]) > 0 for row in rows)


@pytest.mark.parametrize(
    "words",
    [
        ["coin.py", "coin.png"],
        ["log_determinant.py", "cost.png", "--dims", "4", "2", "8"],
        ["receptive_fields.py", "fields.png", "--size", "2"],
        ["replica_exchange.py", "outputs/rbm", "--rungs", "1"],
    ],
)
def test_words_that_an_example_does_not_take_are_refused(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        runpy.run_path(str(EXAMPLES / words[0]), run_name="__main__")
    assert f"{words[0]}: error: " in capsys.readouterr().err
