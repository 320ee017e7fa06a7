"""The benchmarks compare like with like, and run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks._compare import Comparison
from benchmarks.ais import plain
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.estimators.log_z.exact import Enumeration
from dgmrun.models.rbm import RBM
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

ROOT = Path(__file__).parents[1]


def test_the_figure_is_the_median_over_rounds() -> None:
    ours, theirs = iter([1.0, 9.0, 4.0]), iter([2.0, 3.0, 4.0])
    row = Comparison("work, peer", "s", lambda: next(ours), lambda: next(theirs), "<= 0.7").row(rounds=3)
    assert row.split() == ["work,", "peer", "s", "4.00", "3.00", "1.00", "0.50-3.00", "<=", "0.7", "missed"]


def test_the_plain_ais_estimates_what_ours_does() -> None:
    with seeded(0, "benchmarks"):
        model, base_logits = RBM(Event((12,), "binary"), hidden=8, weight_std=0.5), torch.zeros(12)
        fair = torch.tensor([[0.0], [1.0]]).expand(2, 12)
        exact, ours = (method(model, fair) for method in (Enumeration(), AIS(1000, 200)))
        log_z = float(plain(model, base_logits, chains=1000, num=200))
    assert abs(log_z - exact.value) < 4 * ours.standard_error


@pytest.mark.slow
def test_every_subject_reports() -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    subjects = list((ROOT / "benchmarks").glob("[!_]*.py"))
    assert len(table) - 2 >= len(subjects)
    assert all("/s " in row or " s " in row for row in table[2:])
