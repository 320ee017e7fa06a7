"""Searches by Optuna, with trials that only play: what they would find is a function of their settings."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from dgmrun.command.jobs import Job
from dgmrun.command.search import Trials
from dgmrun.run import metrics
from tests.conftest import Command

SPACE = ("optimizer.lr=tag(log,interval(1e-4,1))", "model.hidden=range(2,9,2)", "objective=cd,pcd")
SEARCH = ("-m", "search=optuna", "model=rbm", "dataset=digits", *SPACE)


class Played:
    """Plays trials in place of their processes; the one with this number is interrupted, with all after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: list[Job] = []
        self.stops_at: int | None = None
        monkeypatch.setattr(Trials, "do", self.do)

    def do(self, number: int, total: int, job: Job) -> None:
        self.jobs.append(job)
        if self.stops_at is not None and len(self.jobs) >= self.stops_at:
            job.state = "interrupted"
            raise KeyboardInterrupt
        optimizer, model = job.config["optimizer"], job.config["model"]
        job.path.mkdir(parents=True, exist_ok=True)
        loss = math.log10(optimizer["lr"] / 0.01) ** 2 + abs(model["hidden"] - 6)
        metrics.append(job.path, {"valid/nll": loss}, 1)
        job.state = "done"


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


def settings(job: Job) -> tuple[Any, ...]:
    config = job.config
    return config["optimizer"]["lr"], config["model"]["hidden"], config["choices"]["objective"]


def test_a_search_finds_what_is_best_and_goes_on_where_it_was(
    played: Played, dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played.stops_at = 8
    assert dgmrun(*SEARCH, "search.trials=12") == 130
    begun = len(played.jobs)
    assert begun in (8, 9), "a thread may have begun another one"
    played.stops_at = None
    assert dgmrun(*SEARCH, "search.trials=12") == 0
    assert len(played.jobs) == begun + 5
    found = [settings(job) for job in played.jobs]
    assert found[begun : 2 * begun - 7] == found[7:begun], "what was in flight is taken up first"
    assert len(set(found)) == 12, "nothing is tried twice"
    assert all(1e-4 <= lr <= 1 and hidden in (2, 4, 6, 8) and word in ("cd", "pcd") for lr, hidden, word in found)
    told = capsys.readouterr().out
    assert told.count("done before") == 8, "seven, and in the sum"
    best = min(played.jobs, key=lambda job: math.log10(settings(job)[0] / 0.01) ** 2 + abs(settings(job)[1] - 6))
    assert f"in {best.path.relative_to(tmp_path)}" in told


def test_each_trial_is_named_by_what_the_study_chose_the_first_too(
    dgmrun: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def played(trials: Trials, job: Job, name: str) -> None:
        names.append(name)
        job.path.mkdir(parents=True)
        metrics.append(job.path, {"valid/nll": 1.0}, 1)
        job.state = "done"

    monkeypatch.setattr(Trials, "_execute", played)
    assert dgmrun(*SEARCH, "search.trials=3") == 0
    value = r"optimizer\.lr=\S+ model\.hidden=[2468] objective=p?cd"
    assert [bool(re.fullmatch(rf"\[{n}/3\] {value}", name)) for n, name in enumerate(names, 1)] == [True] * 3, names


def test_mistakes_are_refused_before_a_trial(
    played: Played, dgmrun: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mistakes = {
        "`search` must have ranges": SEARCH[:4],
        "`search.goal` must be valid/nll, valid/bound, valid/loss or null": (*SEARCH, "search.goal=likelihood.exact"),
        "`search.sampler` must be tpe or random": (*SEARCH, "search.sampler=grid"),
        "`search.trials` must be a whole number": (*SEARCH, "search.trials=0"),
        "`stages` must have train": (*SEARCH, "likelihood"),
        "`optimizer.lr` must be a range from low to high": (*SEARCH[:4], "optimizer.lr=interval(1,0.5)"),
        "`model.hidden` must be a range from low to high, but is from 8 to 2": (*SEARCH[:4], "model.hidden=range(8,2)"),
        "`optimizer.lr` must be a range above 0 for log": (*SEARCH[:4], "optimizer.lr=tag(log,interval(0,1))"),
        "are ranges (did you mean `interval`?)": (*SEARCH[:4], "optimizer.lr=intervall(0,1)"),
        "there is no key `optimizer.lrr`": (*SEARCH[:4], "optimizer.lrr=interval(0,1)"),
        "`search.goal` must be a figure of every trial": (*SEARCH, "search.goal=valid/loss", "search.trials=3"),
        "`search.space.optimizer.lr` must be a range": (*SEARCH[:4], "optimizer.lr=glob(*)"),
        "`search` must be null but in a sweep": ("model=rbm", "search=optuna"),
    }
    for message, words in mistakes.items():
        assert dgmrun(*words) in (1, 2), words
        output = capsys.readouterr()
        assert message in output.err + output.out, output
    assert len(played.jobs) == 1, "no further trial where none can have the figure"
    assert dgmrun(*SEARCH, "search.trials=1", "sweep.name=a") == 0
    assert dgmrun(*SEARCH[:-1], "search.trials=1", "sweep.name=a") == 2
    assert "has a search of other settings" in capsys.readouterr().err


def test_a_journal_that_a_kill_left_half_written_goes_on_and_a_damaged_one_is_refused(
    played: Played, dgmrun: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert dgmrun(*SEARCH, "search.trials=2") == 0
    journal = tmp_path / "outputs" / "sweeps" / "default" / "search.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole[:30])
    assert dgmrun(*SEARCH, "search.trials=3") == 0
    assert len(played.jobs) == 3
    journal.write_bytes(b"garbage\n" + whole)
    assert dgmrun(*SEARCH, "search.trials=3") == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert "search.journal cannot" in told[0]
    assert told[-1].startswith("hint: rm outputs/sweeps/default/search.journal")


def test_an_experiment_may_hold_the_ranges_and_a_trial_that_does_not_compose_is_refused(
    played: Played, dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine" / "configs" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "configs" / "experiment" / "find.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /search: optuna\n"
        "search:\n  trials: 6\n  sampler: random\n"
        "  space: {model: {hidden: 'choice(2,word)'}, optimizer: {lr: 'interval(0.1,1)'}}\n"
    )
    assert dgmrun("-m", "--config-dir=mine/configs", "experiment=find", "model=rbm", "dataset=digits") == 0
    told = capsys.readouterr().out
    assert 0 < len(played.jobs) < 6
    assert "refused: `model.hidden` must be a whole number" in told
