"""Every YAML that ships is composed, built and run for two steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from dgmrun.command import arguments
from dgmrun.command.compose import compose
from dgmrun.command.execution import check
from dgmrun.data.splits import Split, Splits
from dgmrun.paths import options
from dgmrun.protocols.models import takes_context
from dgmrun.protocols.sparse import subset
from dgmrun.workbench import build, start
from dgmrun.workbench.build import partners
from dgmrun.workbench.setup import Setup
from tests.conftest import ELSEWHERE, NORMAL, OF_THE_USER, STRINGS, narrow
from tests.contracts.pairs import pairs

Command = Callable[..., int]
SHORT = (
    "trainer.max_steps=2 trainer.validate_every_n_steps=2 log_z.ais.num_temperatures=10 "
    "log_z.reverse_ais.num_temperatures=10 log_z.reverse_ais.burn_in=2 sample.burn_in=2 fidelity.burn_in=2"
).split()
MOST = {"train": 1000, "valid": 100, "test": 100}
"""Examples that are kept of a dataset once it is loaded."""
LOADERS = {yaml.safe_load(file.read_text())["_target_"] for file in options("dataset").values()}
RBM = ("model=rbm", "model.hidden=3")
STAGES = ("train", "log_z", "likelihood", "sample")


def results(run: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((run / "results.json").read_text())
    return content


@pytest.fixture(scope="session")
def loaded() -> dict[str, Any]:
    """What loaders have given so far, by their names and settings."""
    return {}


@pytest.fixture(autouse=True)
def first_examples(loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every dataset is read whole, once, and only its first examples go on to training and scores."""
    for target in LOADERS:
        module, _, name = target.rpartition(".")
        monkeypatch.setattr(target, shortened(getattr(import_module(module), name), target, loaded))


def shortened(load: Callable[..., Splits], target: str, loaded: dict[str, Any]) -> Callable[..., Splits]:
    """A loader that gives the first examples of each split."""

    @wraps(load)
    def short(*args: Any, **settings: Any) -> Splits:
        key = repr((target, args, settings))
        if key not in loaded:
            loaded[key] = {name: first(split, MOST[name]) for name, split in load(*args, **settings).items()}
        return dict(loaded[key])

    return short


def first(split: Split, most: int) -> Split:
    """The first examples, unless the split is every state that there is."""
    kept = len(split.x) if split.population else most
    return replace(
        split,
        x=subset(split.x, torch.arange(min(kept, len(split.x)))),
        y=None if split.y is None else split.y[:kept].clone(),
    )


@pytest.mark.parametrize("dataset", sorted(options("dataset").keys() - OF_THE_USER - ELSEWHERE))
def test_every_dataset(dataset: str, dgmrun: Command, tmp_path: Path, data_dir: Path) -> None:
    run = tmp_path / "run"
    node = yaml.safe_load(options("dataset")[dataset].read_text())
    kind = build.completed({"dataset": node})["dataset"]["event"]["kind"]
    is_binary = node["binarisation"] != "none" or kind == "binary"
    model = STRINGS if kind == "tokens" else NORMAL
    chosen = (*RBM, *STAGES) if is_binary else (*model, "train", "likelihood", "sample")
    assert dgmrun(*chosen, f"dataset={dataset}", f"data_dir={data_dir}", *SHORT, f"hydra.run.dir={run}") == 0
    assert results(run)["status"] == "done"


def test_a_file_of_the_user(dgmrun: Command, tmp_path: Path) -> None:
    rows = "\n".join(",".join(str((i >> bit) & 1) for bit in range(5)) for i in range(32))
    (tmp_path / "my data, =1.csv").write_text(rows)
    run = tmp_path / "run"
    assert (
        dgmrun(
            *RBM,
            "dataset=file",
            "dataset.path=my data, =1.csv",
            *SHORT,
            *STAGES,
            f"hydra.run.dir={run}",
        )
        == 0
    )
    assert dgmrun("likelihood", f"run={run}") == 0


def noise(folder: Path, size: tuple[int, int]) -> list[str]:
    """A folder of a few pictures as a dataset."""
    folder.mkdir()
    for number in range(12):
        Image.effect_noise(size[::-1], 90).save(folder / f"{number}.png")
    return ["dataset=images", f"dataset.path={folder}", f"dataset.size=[{size[0]},{size[1]}]"]


def test_a_folder_of_the_user(dgmrun: Command, tmp_path: Path) -> None:
    own = (*noise(tmp_path / "my pictures, =1", (4, 6)), "dataset.channels=1")
    assert dgmrun(*NORMAL, *own, *SHORT, "train", "likelihood", "sample", f"hydra.run.dir={tmp_path / 'run'}") == 0
    assert dgmrun(NORMAL[0], "likelihood", f"run={tmp_path / 'run'}") == 0


@pytest.mark.parametrize("model", list(options("model")))
def test_every_model(model: str, dgmrun: Command, tmp_path: Path, data_dir: Path) -> None:
    run = tmp_path / "run"
    goes_with = partners("model", model)
    trained = ["train"] if goes_with["objective"] else []
    scored = ["likelihood"] if {*goes_with["likelihood"]} - {"ais", "reverse_ais"} else ["fidelity"]
    few = ["likelihood.importance.num_samples=20"] if "elbo" in goes_with["likelihood"] else []
    words = (f"model={model}", f"data_dir={data_dir}", *SHORT, *few, *narrow(options("model")[model].read_text()))
    assert dgmrun(*words, *trained, *scored, "sample", f"hydra.run.dir={run}") == 0
    assert results(run)["status"] == "done"


def conditional() -> list[Any]:
    """Every model that takes labels as its context with every objective that learns from data.

    All but the natural one wait for `test-all`, as tests/objectives/ tries them on contexts in milliseconds.
    """
    texts = {name: file.read_text() for name, file in options("model").items()}
    nodes = {name: yaml.safe_load(text) for name, text in texts.items()}
    told = {name: node["model"] for name, node in nodes.items() if "given" not in node}
    able = {name for name, node in told.items() if takes_context(build.target(node))[0]}
    chosen = [pair for pair in pairs() if pair[0] in able and not pair[1].startswith("distill")]
    return [
        pytest.param(*pair, marks=[] if f"override /objective: {pair[1]}\n" in texts[pair[0]] else [pytest.mark.slow])
        for pair in chosen
    ]


@pytest.mark.parametrize(("model", "objective"), conditional())
def test_every_objective_trains_given_labels(
    model: str, objective: str, dgmrun: Command, tmp_path: Path, data_dir: Path
) -> None:
    words = (f"model={model}", f"objective={objective}", "given=labels", *SHORT)
    text = options("model")[model].read_text()
    more = (
        f"data_dir={data_dir}",
        *narrow(text),
        *["dataset=digits"] * ("/dataset: equations" in text),
    )  # has no labels
    method = next((each for each in ("exact", "elbo", "bound") if each in partners("model", model)["likelihood"]), None)
    scored = [] if method is None else [f"likelihood.methods=[{method}]", "likelihood"]
    assert dgmrun(*words, *more, "train", *scored, "sample", f"hydra.run.dir={tmp_path / 'run'}") == 0
    assert results(tmp_path / "run")["status"] == "done"


@pytest.mark.parametrize("group", ["device", "optimizer", "schedule"])
def test_every_option(group: str, dgmrun: Command, tmp_path: Path) -> None:
    """But for GPUs, for several processes (tests/contracts/test_kills.py) and for objectives (all of the contracts)."""
    for name in options(group):
        if "gpu" in name or name == "ddp_cpu":
            continue
        run = tmp_path / f"{group}-{name}"
        batch = "dataset.batch_size=4"
        assert dgmrun(*RBM, f"{group}={name}", batch, *SHORT, "train", f"hydra.run.dir={run}") == 0
        assert results(run)["status"] == "done"


def of_experiment(experiment: str, tmp_path: Path, data_dir: Path, teacher: Path) -> list[str]:
    """An experiment with small networks, in short."""
    text = options("experiment")[experiment].read_text()
    other = [f"objective.teacher={teacher}"] if "distill" in text else []
    if any(f"/dataset: {name}\n" in text for name in ELSEWHERE):
        other += noise(tmp_path / "pictures", (32, 32))
    return [f"experiment={experiment}", *other, f"data_dir={data_dir}", *SHORT, *narrow(text)]


@pytest.mark.parametrize("experiment", list(options("experiment")))
def test_every_experiment_can_begin(experiment: str, tmp_path: Path, data_dir: Path, teacher: Path) -> None:
    """Its data are there, and its model, objective, settings and stages go together."""
    given = arguments.parse(of_experiment(experiment, tmp_path, data_dir, teacher))
    composed = compose(given)
    assert composed is not None
    setup = Setup(build.completed(composed[0]), given.search_path)
    check(setup, setup.config["stages"], start.given_weights(setup) is not None)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", list(options("experiment")))
def test_every_experiment(experiment: str, dgmrun: Command, tmp_path: Path, data_dir: Path, teacher: Path) -> None:
    words = [] if "stages:" in options("experiment")[experiment].read_text() else ["train"]
    command = of_experiment(experiment, tmp_path, data_dir, teacher)
    assert dgmrun(*command, *words, f"hydra.run.dir={tmp_path / 'run'}") == 0
    assert results(tmp_path / "run")["status"] == "done"


def test_every_yaml_is_among_the_tested(tmp_path: Path) -> None:
    from dgmrun.paths import config_dir, methods

    tested = {"model", "objective", "device", "optimizer", "schedule", "experiment", "dataset"} | {"stage", *methods()}
    tested |= {"search", "logger"}  # in test_search.py, in stages/test_metrics.py
    assert {folder.name for folder in config_dir().iterdir() if folder.is_dir()} == tested
