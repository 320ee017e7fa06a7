"""Accuracies of runs side by side: what is compared, and how often the bootstrap's interval has the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dgmrun.report.runs import read
from dgmrun.report.shares import difference, grounds
from dgmrun.run.directory import Run
from tests.report.test_compare import config, estimate, printed, write

GENERATOR = np.random.default_rng(0)
FIRST = GENERATOR.integers(0, 2, 50)


def right(path: Path, values: np.ndarray, mask: str, **parts: object) -> Run:
    """A run with an accuracy."""
    run = write(path, settings=config(model={"_target_": "dgmrun.models.rationale.Rationale", "mask": mask}))
    run.merge({"fidelity": {"accuracy": estimate(float(values.mean()), "accuracy", unit="of 1", **parts)}})
    (path / "per_example").mkdir(exist_ok=True)
    np.savez(path / "per_example" / "test-fidelity.accuracy.npz", value=values.astype(float), index=np.arange(50))
    return run


def test_accuracies_are_compared_example_by_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worse = FIRST.copy()
    worse[np.flatnonzero(FIRST)[:10]] = 0
    right(tmp_path / "a", FIRST, "all")
    right(tmp_path / "b", worse, "random")
    (ground,) = grounds(read([tmp_path]))
    value, low, high = difference(ground[1], ground[0])
    assert value == pytest.approx(-0.2)
    assert (low, high) == pytest.approx((-0.2 - 3 * 0.4 / 50**0.5, -0.2 + 3 * 0.4 / 50**0.5), abs=0.03)
    shown = printed(capsys, tmp_path, "--wide")
    assert "fidelity.accuracy, best first" in shown
    assert "intervals by the bootstrap" in shown
    assert f"-0.2000 [{low:+.4f}, {high:+.4f}]" in " ".join(shown.split())


@pytest.mark.parametrize("what", ["another split", "stale", "no counts", "alone"])
def test_what_cannot_be_compared_is_left_out(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right(tmp_path / "a", FIRST, "all")
    if what != "alone":
        run = right(tmp_path / "b", FIRST * (0.5 if what == "no counts" else 1), "random")
        if what == "another split":
            run.merge({"dataset": {**run.results["dataset"], "splits": {"test": {"sha256": "b" * 64}}}})
        if what == "stale":
            (tmp_path / "b" / "weights.safetensors").write_bytes(b"others")
    assert grounds(read([tmp_path])) == []
    assert ("its values must be 0 or 1" in capsys.readouterr().err) == (what == "no counts")


def test_the_interval_has_the_truth_as_often_as_it_says(tmp_path: Path) -> None:
    """In 40 pairs of runs of 50 examples but for 3: more have a chance of 6e-5 if each is missed by 0.5 %."""
    missed = 0
    right(tmp_path / "a", FIRST, "all")
    right(tmp_path / "b", FIRST, "random")
    (pair,) = grounds(read([tmp_path]))
    for _ in range(40):
        chance = GENERATOR.random((2, 50)) < [[0.7], [0.6]]
        one, other = (replace(each, values=values.astype(float)) for each, values in zip(pair, chance, strict=True))
        _, low, high = difference(one, other)
        missed += not low <= 0.1 <= high
    assert missed <= 3


@pytest.mark.parametrize(("wins", "is_resolved"), [(0, False), (7, False), (9, False), (10, True)])
def test_few_that_differ_are_resolved_as_by_a_sign_test(wins: int, is_resolved: bool, tmp_path: Path) -> None:
    """All for one run: 2^-9 is above the 0.27 % of both sides over two, 2^-10 below."""
    right(tmp_path / "a", FIRST, "all")
    right(tmp_path / "b", FIRST, "random")
    (pair,) = grounds(read([tmp_path]))
    values = np.zeros((2, 2210))
    values[0, :wins] = 1
    one, other = (replace(each, values=each_values) for each, each_values in zip(pair, values, strict=True))
    value, low, high = difference(one, other)
    assert value == wins / 2210
    assert (low > 0) == is_resolved
    assert low < high
