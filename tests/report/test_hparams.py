"""TensorBoard's HParams tab, read as its plugin reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.util.tensor_util import make_ndarray

from dgmrun.report.hparams import hyperparameters, write
from dgmrun.report.runs import folder, read
from dgmrun.run.directory import Run

Command = Callable[..., int]
TINY = (
    "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4 "
    "model.hidden=3 trainer.max_steps=3 trainer.validate_every_n_steps=2 "
    "log_z.methods=[exact] likelihood.methods=[exact]"
).split()
MADE = {
    "model": "rbm",
    "objective": "pcd",
    "dataset": "bars_and_stripes",
    "optimizer": "sgd",
    "model.hidden": 3.0,
    "objective.k": 1.0,
    "dataset.batch_size": 4.0,
    "dataset.side": 2.0,
    "optimizer.lr": 0.05,
    "trainer.max_steps": 3.0,
    "seed": 0.0,
}


class Tab:
    """What the tab shows of all runs below a folder."""

    def __init__(self, folder: Path) -> None:
        self.multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
        self.multiplexer.Reload()
        context = Context(TBContext(data_provider=MultiplexerDataProvider(self.multiplexer, str(folder))))
        where = (RequestContext(), context, "")
        self.experiment = get_experiment.Handler(*where, api_pb2.GetExperimentRequest()).run()
        asked = api_pb2.ListSessionGroupsRequest(allowed_statuses=api_pb2.Status.values(), slice_size=100)
        self.groups = {group.name: group for group in list_session_groups.Handler(*where, asked).run().session_groups}

    @property
    def columns(self) -> set[str]:
        """The hyperparameters."""
        return {column.name for column in self.experiment.hparam_infos}

    @property
    def metrics(self) -> list[str]:
        """The columns of figures and scalars."""
        assert not [metric for metric in self.experiment.metric_infos if metric.name.group]
        return [metric.name.tag for metric in self.experiment.metric_infos]

    def settings(self, run: str) -> dict[str, Any]:
        """The hyperparameters of a run."""
        values = self.groups[run].hparams.items()
        return {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in values}

    def figures(self, run: str) -> dict[str, float]:
        """The metrics of a run."""
        return {metric.name.tag: metric.value for metric in self.groups[run].metric_values}

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        """Every step and value of a tag."""
        events = self.multiplexer.Tensors(run, tag)
        return [(event.step, make_ndarray(event.tensor_proto).item()) for event in events]

    def tags(self, run: str) -> set[str]:
        """Everything that was logged."""
        return set(self.multiplexer.Runs()[run]["tensors"])


def estimates(run: Run) -> dict[str, float]:
    results = run.results
    found = {(word, label): entry for word in ("log_z", "likelihood") for label, entry in results.get(word, {}).items()}
    return {f"{word}/{label}": entry["value"] for (word, label), entry in found.items()}


def changed(run: Run, change: Callable[[dict[str, Any]], object]) -> None:
    results = run.results
    change(results)
    (run.path / "results.json").write_text(json.dumps(results))


@pytest.fixture
def run(dgmrun: Command, tmp_path: Path) -> Run:
    """A trained and scored run."""
    assert dgmrun("model=rbm", *TINY, "train", "log_z", "likelihood", "hydra.run.dir=runs/a") == 0
    return Run.open(tmp_path / "runs" / "a")


def test_runs_side_by_side(dgmrun: Command, run: Run, tmp_path: Path) -> None:
    asked = (
        "objective=cd",
        "model.hidden=4",
        "seed=1",
        "log_z.methods=[exact,ais]",
        "likelihood.methods=[exact,ais]",
        "log_z.ais.num_temperatures=20",
    )
    assert dgmrun("model=rbm", *TINY, *asked, "train", "log_z", "likelihood", "hydra.run.dir=runs/b") == 0
    other = Run.open(run.path.parent / "b")
    for one in (other, run):
        write(one)
        write(one)
    tab = Tab(run.path.parent)
    entries = read([tmp_path])
    assert set(tab.groups) == {entry.name for entry in entries} == {"a", "b"}
    assert folder(entries) == run.path.parent
    assert tab.settings("a").items() >= MADE.items()
    changes = {"objective": "cd", "model.hidden": 4.0, "seed": 1.0}
    assert tab.settings("b").items() >= (MADE | changes).items()
    assert tab.columns == set(tab.settings("a")) | set(tab.settings("b"))
    assert tab.metrics == sorted(set(tab.metrics))
    assert not [tag for tag in tab.metrics if "hp_metric" in tag]
    for name, one in (("a", run), ("b", other)):
        known = estimates(one)
        assert len(known) == {"a": 2, "b": 4}[name]
        assert tab.settings(name).items() >= {tag: pytest.approx(value) for tag, value in known.items()}.items()
        assert not set(known) & tab.tags(name), "a chart of one point each"
    assert tab.figures("a")["valid/nll"] == tab.scalars("a", "valid/nll")[-1][1]


def test_only_what_makes_a_run_is_a_hyperparameter(run: Run) -> None:
    write(run)
    settings = Tab(run.path.parent)
    names = {name.partition(".")[0] for name in settings.columns if "/" not in name}
    assert names == {"model", "objective", "dataset", "optimizer", "trainer", "seed"}
    assert not [name for name in settings.columns if "_target_" in name or "event" in name]


def test_values() -> None:
    model = {"_target_": "a.B", "hidden": [500, 200], "std": 1e-8, "tied": True, "prior": {"name": "a\nb"}, "no": None}
    known = hyperparameters({"model": model, "seed": 3, "schedule": None, "tags": ["a"], "choices": {"model": "sbn"}})
    assert known == {
        "model": "sbn",
        "model.hidden": "[500, 200]",
        "model.std": 1e-8,
        "model.tied": True,
        "model.prior.name": "a?b",
        "seed": 3,
    }
    assert type(known["model.tied"]) is bool
    assert hyperparameters({"seed": 10**400, "choices": None, "optimizer": {"lr": float("nan")}}) == {}
    assert hyperparameters({"name": "mine\n", "seed": 3}) == {"name": "mine?", "seed": 3}


def test_the_last_writing_counts(run: Run) -> None:
    write(run)
    before = Tab(run.path.parent)

    def rescore(results: dict[str, Any]) -> None:
        results["log_z"]["ais"] = results["log_z"].pop("exact") | {"value": 1.25}
        results["likelihood"]["exact"]["value"] = -7.5
        results["likelihood"]["exact@valid"] = results["likelihood"]["exact"] | {"value": None}

    changed(run, rescore)
    write(run)
    after = Tab(run.path.parent)
    assert before.columns - after.columns == {"log_z/exact"}
    assert after.columns - before.columns == {"log_z/ais"}
    assert (after.settings("a")["log_z/ais"], after.settings("a")["likelihood/exact"]) == (1.25, -7.5)
    assert after.scalars("a", "valid/nll") == before.scalars("a", "valid/nll")
    assert len(list(run.path.glob("*hparams"))) == 1


def test_a_longer_training(dgmrun: Command, run: Run) -> None:
    write(run)
    before = Tab(run.path.parent).scalars("a", "valid/nll")
    assert dgmrun("train", f"run={run.path}", "trainer.max_steps=6") == 0
    write(run)
    tab = Tab(run.path.parent)
    assert tab.scalars("a", "valid/nll")[: len(before)] == before
    assert tab.scalars("a", "valid/nll")[-1][0] == 6
    assert tab.settings("a")["trainer.max_steps"] == 6
    assert not [name for name in tab.columns if "exact" in name], "these figures are of other weights"
    assert dgmrun("log_z", f"run={run.path}") == 0
    write(run)
    assert "log_z/exact" in Tab(run.path.parent).columns


def test_it_is_the_last_of_its_second(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (trained,) = (file for file in run.path.glob("events.out.tfevents.*") if "~" not in file.name)
    for host in ("zzz", "ZZZ", "999"):
        second = run.path / f"events.out.tfevents.2000000000.{host}.99999.9"
        trained.rename(second)
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda: 2000000000.9)
            write(run)
        assert sorted(run.path.glob("events.out.tfevents.2000000000.*"))[0] == second
        trained = second


def test_a_training_alone_is_shown_by_its_scalars(dgmrun: Command, tmp_path: Path) -> None:
    assert dgmrun("model=rbm", *TINY, "train", "hydra.run.dir=run") == 0
    write(Run.open(tmp_path / "run"))
    tab = Tab(tmp_path)
    assert tab.settings("run").items() >= MADE.items()
    assert "valid/nll" in tab.figures("run")


def test_no_settings_without_a_figure(run: Run, dgmrun: Command, tmp_path: Path) -> None:
    assert dgmrun("model=rbm", *TINY, f"weights={run.path}", "sample", "hydra.run.dir=more/b") == 0
    other = Run.open(tmp_path / "more" / "b")
    write(other)
    assert not list(other.path.glob("*hparams"))
    assert dgmrun("log_z", f"run={other.path}") == 0
    write(other)
    tab = Tab(tmp_path / "more")
    assert tab.settings("b")["log_z/exact"] == pytest.approx(estimates(other)["log_z/exact"])
    changed(other, lambda results: results.pop("log_z"))
    write(other)
    assert not list(other.path.glob("*hparams"))
