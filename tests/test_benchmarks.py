"""The benchmarks compare like with like, and run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import _growth, _limits
from benchmarks._compare import Comparison
from benchmarks._environment import Environment
from benchmarks._report import Report
from benchmarks._stage import clock
from benchmarks.ais import plain
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.estimators.log_z.exact import Enumeration
from dgmrun.models.rbm import RBM
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

ROOT = Path(__file__).parents[1]


def comparison(target: str = "<= 0.7") -> Comparison:
    """Three rounds of known measurements."""
    ours, theirs = iter([1.0, 9.0, 4.0]), iter([2.0, 3.0, 4.0])
    return Comparison("work, peer", "s", lambda: next(ours), lambda: next(theirs), target)


def test_the_figure_is_the_median_over_rounds() -> None:
    row = str(comparison().row(rounds=3))
    assert row.split() == ["work,", "peer", "s", "4.00", "3.00", "1.00", "0.50-3.00", "<=", "0.7", "missed"]


def test_the_plain_ais_estimates_what_ours_does() -> None:
    with seeded(0, "benchmarks"):
        model, base_logits = RBM(Event((12,), "binary"), hidden=8, weight_std=0.5), torch.zeros(12)
        fair = torch.tensor([[0.0], [1.0]]).expand(2, 12)
        exact, ours = (method(model, fair) for method in (Enumeration(), AIS(1000, 200)))
        log_z = float(plain(model, base_logits, chains=1000, num=200))
    assert abs(log_z - exact.value) < 4 * ours.standard_error


def test_a_report_is_a_table_rows_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path)
    for target in ("<= 0.7", ">= 1", ""):
        report.add(comparison(target).row(rounds=3))
    report.close()
    found = json.loads((tmp_path / "rows.json").read_text())
    assert [row["verdict"] for row in found["rows"]] == ["missed", "met", ""]
    assert {"commit", "cpu", "cores", "threads", "torch"} <= set(found["machine"])
    table = (tmp_path / "table.txt").read_text()
    assert "1 targets met, 1 missed\n  work, peer\n" in table
    assert table in capsys.readouterr().out
    assert (tmp_path / "ratios.png").read_bytes().startswith(b"\x89PNG")


def test_a_power_law_has_its_exponent() -> None:
    sizes = (10, 32, 100, 316, 1000)
    cubic = _growth.fit(sizes, [2e-9 * size**3 for size in sizes])
    assert cubic.slope == pytest.approx(3)
    assert cubic.standard_error == pytest.approx(0, abs=1e-6)
    assert cubic.verdict == "more than linear"
    assert _growth.fit(sizes, [0.1 * size for size in sizes]).verdict == "linear"
    assert _growth.fit(sizes, [30 + size for size in sizes]).verdict == "linear at the end"
    assert _growth.fit(sizes, [3000 + size for size in sizes]).verdict == "less than linear"


def test_sizes_span_two_decades() -> None:
    assert all(growth.sizes(quick=False)[-1] == 100 * growth.least for growth in _growth.GROWTHS)


def test_limits_are_measured_with_one_thread_and_the_number_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    assert min(_limits.rates(threads=1, quick=True).values()) > 0
    head, *rows = _limits.table(quick=True)
    assert "1 thread" in head
    assert len(rows) == len(_limits.FUNCTIONS) + 6
    assert torch.get_num_threads() == before


def test_a_batch_of_two_players_counts_once() -> None:
    players = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]) for _ in range(2)]
    steps = []
    with clock(warm=1, steps=2, device="cpu") as moments:
        for _ in range(3):
            steps.append(len(moments))
            for player in players:
                player.step()
    assert (steps, len(moments)) == ([0, 1, 1], 2)


def test_an_environment_has_the_files_of_its_tree(tmp_path: Path) -> None:
    package = tmp_path / "tree" / "dgmrun"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("age = 'old'\n")
    python = Environment(tmp_path / "tree", tmp_path / "then")
    assert (
        python.run("-c", "import dgmrun, importlib.util; print(dgmrun.age, bool(importlib.util.find_spec('torch')))")
        == "old True"
    )
    with pytest.raises(SystemExit, match="nothing such"):
        python.run("-c", "raise SystemExit('nothing such')")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--against", "nonsense"], "error: `--against` must be a commit of this repository, but is nonsense"),
        (["--against", "HEAD", "--only", "flow"], "`--only` must be among importance_vae, "),
        (["--growth", "--only", "ais"], "`--only` must be left out of --limits, --growth and --gpu"),
        (["--only", "nonsense"], "`--only` must be among ais, "),
    ],
)
def test_mistakes_are_one_line(
    argv: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *argv])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_help_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, command.parser().format_help().splitlines())) <= 80


@pytest.mark.slow
def test_every_subject_reports(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "benchmarks", "--quick", "--folder", tmp_path], cwd=ROOT, check=True)
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert len(rows) >= len(command.SUBJECTS)
    assert all(row["unit"] == "MiB" or row["unit"].endswith("s") for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [("--growth",), ("--against", "HEAD")])
def test_every_other_measurement_reports(kind: tuple[str, ...], tmp_path: Path) -> None:
    command_line = [sys.executable, "-m", "benchmarks", "--quick", *kind, "--folder", tmp_path]
    done = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"written to {tmp_path}" in done.stdout
    assert len(list(tmp_path.glob("*.png"))) == 1
