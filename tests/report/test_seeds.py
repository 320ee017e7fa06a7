"""Settings compared by the spread over their seeds, and the tables that show it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from dgmrun.report import export
from dgmrun.report.decision import contests
from dgmrun.report.paired import Ground, Scored, ranking
from dgmrun.report.runs import Entry, read
from dgmrun.report.seeds import Group, difference, rows
from dgmrun.run.figures import Figure
from tests.figure import entry as figure
from tests.report.test_compare import LOG_PROB, config, printed, scored, write

REPETITIONS, ALARMS = 2000, 17
"""Tables of equal settings, and the most in which a difference may be called resolved: 5.4 are expected, and more than
17 have a chance of 2e-5."""


def scores(setting: str, values: np.ndarray) -> Ground:
    """Runs of a setting, one for each seed, with these likelihoods."""
    return [
        Scored(
            Entry(Path(f"{setting}{seed}"), "", {"seed": str(seed), "model.hidden": setting}, {}, {}, None),
            "likelihood.exact",
            Figure.from_json(figure("log_likelihood", float(value), "a")),
            np.zeros(2),
            np.arange(2),
        )
        for seed, value in enumerate(values)
    ]


def seeds(folder: Path, hidden: int, shifts: Any, **more: Any) -> None:
    """Writes a run for each seed of a setting, that has its likelihoods off by a shift of its own."""
    for seed, shift in enumerate(shifts):
        settings = config(seed=seed, model={"hidden": hidden}, **more)
        scored(folder / f"{hidden}-{seed}", LOG_PROB + shift, settings=settings)


def test_seeds_of_a_setting_are_one_row(tmp_path: Path) -> None:
    shifts = np.array([0.3, -0.1, 0.2])
    seeds(tmp_path, 10, shifts)
    seeds(tmp_path, 20, [-1.0])
    (contest,) = contests(read([tmp_path]))
    three, one = (row.group for row in contest.rows)
    error = shifts.std(ddof=1) / np.sqrt(3)
    assert (three.seeds, three.mean) == (3, pytest.approx(LOG_PROB.mean() + shifts.mean()))
    assert three.standard_error == pytest.approx(error)
    assert three.interval == pytest.approx(three.mean + np.array([-1, 1]) * t(2).ppf(0.99865) * error)
    assert (one.seeds, one.standard_error, one.interval) == (1, None, None)
    assert contest.rows[1].difference is not None
    assert contest.rows[1].difference.resolved is None


def test_seeds_that_change_nothing_tell_nothing() -> None:
    same = rows(scores("10", np.array([-80.0, -80.0])) + scores("20", np.array([-80.1, -80.1])))
    assert same[1].difference is not None
    assert same[1].difference.resolved is None


def test_a_seed_counts_once() -> None:
    twice = scores("10", np.array([-20.0, -21.0, -20.5])) + scores("10", np.array([-20.0]))
    (row,) = rows(twice)
    assert (len(row.group.runs), row.group.seeds, row.group.mean) == (4, 3, pytest.approx(-20.5))


def test_methods_are_never_averaged() -> None:
    ground = scores("10", np.array([-20.0, -21.0]))
    bound = [Scored(run.entry, "likelihood.importance", run.figure, run.values, run.index) for run in ground]
    assert [row.group.seeds for row in rows([*ground, *bound])] == [2, 2]


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("num", [2, 3, 5, 20])
def test_the_interval_is_that_of_welch(num: int, spread: float) -> None:
    one, other = np.random.default_rng(num).normal(size=(2, num)) * [[1.0], [spread]]
    found = difference(Group(scores("10", one)), Group(scores("20", other)))
    low, high = ttest_ind(one, other, equal_var=False).confidence_interval(0.9973)
    assert found.half_width == pytest.approx(high - found.value, rel=1e-6) == pytest.approx(found.value - low)
    assert found.resolved == (low > 0 or high < 0)


@pytest.mark.parametrize("sizes", [(3, 3), (5, 5), (2, 10), (5, 5, 5, 5), (2, 3, 8)], ids=str)
def test_equal_settings_are_rarely_resolved(sizes: tuple[int, ...]) -> None:
    """By Welch's degrees of freedom, 45 tables of (2, 10) would have an alarm; at the level of a pair, 25 of four."""
    alarms, draws = 0, np.random.default_rng(4)
    for _ in range(REPETITIONS):
        groups = sorted((Drawn(draws.normal(size=size)) for size in sizes), key=lambda group: -group.mean)
        pairs = len(sizes) * (len(sizes) - 1) // 2
        alarms += any(difference(group, groups[0], pairs).resolved for group in groups[1:])
    assert alarms <= ALARMS


class Drawn(Group):
    """A group of which the scores alone are known."""

    def __init__(self, values: np.ndarray) -> None:
        object.__setattr__(self, "runs", ())
        self.__dict__["scores"] = values.tolist()


def test_noise_of_seeds_is_not_a_difference_of_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same spread of 0.1 nats over seeds in both settings: two trained models differ by it, the settings do not."""
    noise = np.random.default_rng(5).normal(0, 0.1, size=(2, 5))
    noise -= noise.mean(1, keepdims=True)
    for hidden, shifts in zip((10, 20), noise, strict=True):
        seeds(tmp_path, hidden, shifts)
    (contest,) = contests(read([tmp_path]))
    assert contest.rows[1].difference is not None
    assert contest.rows[1].difference.resolved is False
    assert sum(place.resolved for place in ranking(contest.ground)[1:]) > 4
    settings, models = printed(capsys, tmp_path).split("trained models, best first")
    assert settings.count("not resolved  5") == 1
    assert "they are about two trained models" in " ".join(models.split())


def test_a_difference_of_settings_is_resolved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for hidden, shift in ((10, 0.0), (20, -1.0)):
        seeds(tmp_path, hidden, shift + np.linspace(-0.1, 0.1, 5))
    assert "-1.000 +- 0.050" in printed(capsys, tmp_path).split("trained models, best first")[0]


def test_the_table_fits_80_columns_and_what_is_asked_for_comes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for hidden in (10, 20, 30):
        more = {name: {"a_long_name": hidden} for name in ("optimizer", "schedule", "trainer", "log_z")}
        seeds(tmp_path, hidden, [0.1 * hidden, 0.2 * hidden], **more)
    narrow, wide = printed(capsys, tmp_path), printed(capsys, tmp_path, "--wide")
    assert max(map(len, narrow.splitlines())) <= 80 < max(map(len, wide.splitlines()))
    assert narrow.splitlines()[2].split()[:4] == ["#", "model", "objective", "hidden"]
    assert "--wide shows more: optimizer.a_long_name" in narrow
    assert "log_z.a_long_name" in wide


def test_what_failed_or_is_not_finished_is_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds(tmp_path, 10, [0.0, 0.1, 0.2])
    for name, change in {
        "10-1": {"status": "failed", "error": "it burst"},
        "10-2": {"train": {"complete": False}},
    }.items():
        file = tmp_path / name / "results.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    (contest,) = contests(read([tmp_path]))
    assert [entry.name for entry in contest.entries] == ["10-0"]
    apart = printed(capsys, tmp_path).split("Failed or not finished")[1]
    assert all(text in apart for text in ("failed", "not complete", "10-1: it burst"))


def test_data_in_doubt_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doubtful = {"dataset": {"doubts": ["it has a row twice"]}}
    scored(tmp_path / "a", LOG_PROB, settings=config(model={"hidden": 1}), **doubtful)
    scored(tmp_path / "b", LOG_PROB, settings=config(model={"hidden": 2}))
    lines = printed(capsys, tmp_path).splitlines()
    assert sum(f"{LOG_PROB.mean():.3f} ?" in line for line in lines) == 1
    assert "Warning of the data of a: it has a row twice." in lines


def table(folder: Path) -> None:
    """Two settings, of three seeds and of one, and a run without a rank."""
    seeds(folder, 10, [0.0, 0.1, 0.2])
    seeds(folder, 20, [-1.0], choices={"model": "my_<b>|model", "objective": "a&b", "dataset": "digits"})
    write(folder / "c c")


def test_json_and_csv_have_every_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(tmp_path)
    three, one, rest = json.loads(printed(capsys, tmp_path, "--json"))
    assert three["settings"] == {"model": "rbm", "objective": "pcd", "model.hidden": 10}
    assert (three["value"], three["seeds"], three["kind"]) == (pytest.approx(LOG_PROB.mean() + 0.1), 3, "exact")
    half = t(2).ppf(0.99865) * 0.1 / np.sqrt(3)
    assert (three["standard_error"], three["resolved"]) == (pytest.approx(0.1 / np.sqrt(3)), None)
    assert three["interval"] == pytest.approx([three["value"] - half, three["value"] + half])
    assert (one["seeds"], one["standard_error"], one["difference"]) == (1, None, pytest.approx(-1.1))
    assert (rest["value"], rest["runs"]) == (None, [str(tmp_path / "c c")])
    first, *_, last = csv.DictReader(io.StringIO(printed(capsys, tmp_path, "--csv")))
    assert (float(first["value"]), float(first["low"])) == (three["value"], three["interval"][0])
    assert (first["model.hidden"], last["value"], last["runs"]) == ("10", "", f"'{tmp_path / 'c c'}'")


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.05", 0.05), ("true", True), (None, None), *((text, text) for text in ("NaN", "1e999", "[1]", "[" * 999))],
)
def test_json_has_settings_as_they_were_configured(text: str | None, value: Any) -> None:
    assert export._value(text) == value


def test_markdown_and_latex_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(tmp_path)
    head, rule, best, other = printed(capsys, tmp_path, "--markdown").splitlines()
    value = LOG_PROB.mean()
    assert head == "| model | objective | hidden | nats per example | difference | seeds |"
    assert rule == "| --- | --- | --- | ---: | ---: | ---: |"
    assert best == f"| rbm | pcd | 10 | {value + 0.1:.3f} ± 0.058 | - | 3 |"
    assert other == rf"| my\_\<b\>\|model | a\&b | 20 | {value - 1:.3f} | -1.100 one seed | 1 |"
    lines = printed(capsys, tmp_path, "--latex").splitlines()
    assert lines[4] == rf"rbm & pcd & 10 & ${value + 0.1:.3f} \pm 0.058$ & - & $3$ \\"
    assert lines[5].startswith(r"my\_\textless{}b\textgreater{}\textbar{}model & a\&b & 20 & $-")
