"""Contracts 1, 2, 4 and 6 of every model with every objective that fits it, found in configs/."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dgmrun.paths import options
from dgmrun.protocols.models import ImplicitModel, UnnormalisedDensity
from dgmrun.workbench import build
from tests.conftest import BINARY, of_other_data, with_teacher

Command = Callable[..., int]
TINY = (
    "optimizer=sgd dataset.batch_size=4 trainer.max_steps=11 "
    "trainer.validate_every_n_steps=3 checkpoint.every_n_steps=2 schedule=linear "
    "optimizer.ema=0.9 optimizer.clip_norm=1.0 optimizer.momentum=0.5 trainer.patience=100 "
    "trainer.accumulate=3 log_z.ais.num_temperatures=100 log_z.reverse_ais.num_temperatures=100 "
    "log_z.importance.num_samples=400 log_z.importance.num_chains=40 log_z.importance.burn_in=10 "
    "log_z.bridge.num_samples=400 log_z.bridge.num_chains=40 log_z.bridge.burn_in=10"
).split()


def pairs() -> list[tuple[str, str]]:
    """Every model with every objective that fits it."""
    models = {name: yaml.safe_load(file.read_text())["model"] for name, file in options("model").items()}
    objectives = {name: yaml.safe_load(file.read_text()) for name, file in options("objective").items()}
    return [
        (model, objective)
        for model, node in models.items()
        for objective, other in objectives.items()
        if build.fits(build.target(node), build.target(other).requires)
        and not (model in of_other_data() and "teacher" in other)  # the teacher here is of binary data
    ]


def of_all(*cases: Any, quick: Callable[..., bool]) -> list[Any]:
    """Cases of which those that are not quick are left to `make test-all`."""
    return [pytest.param(*case, marks=() if quick(*case) else pytest.mark.slow) for case in cases]


NATURAL = {(name, re.findall(r"/objective: (\w+)", file.read_text())[0]) for name, file in options("model").items()}
ONE_OF_EACH = {*NATURAL, *{objective: (model, objective) for model, objective in reversed(pairs())}.values()}
KINDS_OF_STATE = (("rbm", "cd"), ("rbm", "pcd"), ("sbn", "nvil"), ("nade", "distill_se"))
"""None, chains, running moments, a stream (and its chains)."""
assert {objective for _, objective in pairs()} == set(options("objective")), "an objective fits no model"
every_pair = pytest.mark.parametrize(("model", "objective"), of_all(*pairs(), quick=lambda *pair: pair in ONE_OF_EACH))
every_pair_in_time = pytest.mark.parametrize(
    ("model", "objective"), of_all(*pairs(), quick=lambda *pair: pair in KINDS_OF_STATE)
)


@pytest.fixture
def command(model: str, objective: str, dataset: list[str], teacher: Path) -> tuple[str, ...]:
    """The arguments of a short training of a pair."""
    node = yaml.safe_load(options("model")[model].read_text())["model"]
    scored = (
        ["likelihood.methods=[ratio]", "trainer.patience=null"] if build.fits(build.target(node), ImplicitModel) else []
    )
    return (f"model={model}", f"objective={objective}", *with_teacher(objective, teacher), *dataset, *TINY, *scored)


@pytest.fixture
def words(model: str, objective: str, teacher: Path) -> list[str]:
    """The evaluation stages of a pair."""
    node = yaml.safe_load(options("model")[model].read_text())["model"]
    has_log_z = build.fits(build.target(node), UnnormalisedDensity) or any(
        "teacher" in each for each in with_teacher(objective, teacher)
    )
    return ["log_z", "likelihood"] if has_log_z else ["likelihood"]


class Killed(BaseException):
    """As good as SIGKILL: nothing of ours catches it to save anything."""


def outcome(run: Path) -> dict[str, Any]:
    """Everything that exact resume promises, of a finished run."""
    from dgmrun.stages.train.saved import newest

    last = newest(run / "checkpoints")
    assert last is not None
    state = torch.load(last.file, weights_only=True)
    state["callbacks"].pop("Limits")  # seconds
    results = json.loads((run / "results.json").read_text())
    train = {key: results["train"][key] for key in ("steps", "epochs", "examples", "complete")}
    weights = {file.name: load_file(file) for file in run.glob("weights*.safetensors")}
    return {"state": state, "weights": weights, "train": train, "logged": logged(run)}


def logged(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar as TensorBoard reads it."""
    events = EventAccumulator(str(run))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal to the bit."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{index}]")
    else:
        assert a == b, where


@every_pair_in_time
def test_reloads_and_scores_the_same_to_the_last_bit(
    command: tuple[str, ...], words: list[str], dgmrun: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert dgmrun(*command, "train", *words, f"hydra.run.dir={run}") == 0
    first = json.loads((run / "results.json").read_text())
    assert dgmrun(*words, f"run={run}") == 0
    again = json.loads((run / "results.json").read_text())
    for word in words:
        assert first[word].keys() == again[word].keys()
        for label, estimate in first[word].items():
            assert again[word][label] | {"seconds": 0} == estimate | {"seconds": 0}


@every_pair
def test_results_are_complete_and_honest(
    command: tuple[str, ...], words: list[str], dgmrun: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert dgmrun(*command, "train", *words, f"hydra.run.dir={run}") == 0
    results = json.loads((run / "results.json").read_text(), parse_constant=pytest.fail)
    assert results["status"] == "done"
    examples = results["dataset"]["splits"]["test"]["examples"]
    for label, estimate in (results.get("log_z", {}) | results["likelihood"]).items():
        assert estimate["kind"] in ("exact", "estimate", "lower_bound", "upper_bound"), label
        assert estimate["bias"] in ("none", "up", "down", "unknown")
        assert estimate["unit"] == "nats"
        assert math.isfinite(estimate["value"])
        assert estimate["standard_error"] is not None or estimate["warnings"]
        assert estimate["interval"] or estimate["warnings"]
        assert len(estimate["of"]["weights_sha256"]) == 64
        mine = estimate["proposal"] or estimate["of"]
        assert mine["step"] == results["train"]["weights_step"]
    for estimate in results["likelihood"].values():
        assert (estimate["split"], estimate["examples"]) == ("test", examples)


@pytest.mark.parametrize(
    ("model", "objective", "killed_at"),
    of_all(
        *((*pair, step) for pair in pairs() for step in (1, 3, 4, 8, 10)),
        quick=lambda *case: case[:2] in KINDS_OF_STATE or (case[:2] in ONE_OF_EACH and case[2] == 4),
    ),
)
def test_killed_after_any_step_and_taken_up_is_never_killed(
    command: tuple[str, ...],
    killed_at: int,
    dgmrun: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert_taken_up(command, killed_at, dgmrun, tmp_path, monkeypatch)


def test_killed_with_local_posteriors_and_taken_up_is_never_killed(
    dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("model=vae", "model.posterior=local", *BINARY, *TINY)
    assert_taken_up(command, 4, dgmrun, tmp_path, monkeypatch)


def assert_taken_up(
    command: tuple[str, ...], killed_at: int, dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that is killed after so many steps, and taken up, equals one that was not."""
    from dgmrun.objectives.base import Objective

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert dgmrun(*command, "train", f"hydra.run.dir={whole}") == 0
    step = Objective.transfer_batch_to_device

    def dies(self: Objective, batch: Any, *others: Any) -> Any:
        if self.iteration == killed_at:
            raise Killed
        return step(self, batch, *others)

    monkeypatch.setattr(Objective, "transfer_batch_to_device", dies)
    with pytest.raises(Killed):
        dgmrun(*command, "train", f"hydra.run.dir={cut}")
    monkeypatch.setattr(Objective, "transfer_batch_to_device", step)
    assert dgmrun("train", f"run={cut}") == 0
    assert_same(outcome(cut), outcome(whole))


@pytest.mark.parametrize(
    ("model", "objective", "write"),
    of_all(
        *((*pair, write) for pair in pairs() for write in range(40)),
        quick=lambda *case: case[:2] in KINDS_OF_STATE[2:] and case[2] % 4 == 0,
    ),
)
def test_killed_within_any_write_and_taken_up_is_never_killed(
    command: tuple[str, ...], write: int, dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert dgmrun(*command, "train", f"hydra.run.dir={whole}") == 0
    rename, count = os.replace, [0]

    def dies(source: Any, destination: Any) -> None:
        if count[0] == write + 2:
            raise Killed
        count[0] += 1
        rename(source, destination)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(Killed):
        dgmrun(*command, "train", f"hydra.run.dir={cut}")
    monkeypatch.setattr(os, "replace", rename)
    assert dgmrun("train", f"run={cut}") == 0
    assert_same(outcome(cut), outcome(whole))


@every_pair
def test_every_parameter_gets_a_gradient(command: tuple[str, ...], dgmrun: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert dgmrun(*command, "optimizer.momentum=0.9", f"hydra.run.dir={run}") == 0
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    for optimizer in state["optimizer_states"]:
        momenta = [entry["momentum_buffer"] for entry in optimizer["state"].values()]
        assert len(momenta) == sum(len(group["params"]) for group in optimizer["param_groups"])
        assert all(bool(momentum.abs().sum() > 0) for momentum in momenta)


def test_a_real_sigkill_through_the_console_script(dgmrun: Command, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    command = ["model=rbm", *BINARY, *TINY, "trainer.max_steps=700", "trainer.validate_every_n_steps=300", "train"]
    assert dgmrun(*command, f"hydra.run.dir={whole}") == 0
    process = subprocess.Popen([sys.executable, "-m", "dgmrun", *command, f"hydra.run.dir={cut}"])
    deadline = time.monotonic() + 120
    while not (cut / "checkpoints" / "previous.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((cut / "results.json").read_text())["status"] == "running"
    assert dgmrun("train", f"run={cut}") == 0
    assert_same(outcome(cut), outcome(whole))


@pytest.mark.parametrize(("model", "objective"), of_all(*pairs(), quick=lambda *pair: pair in KINDS_OF_STATE[2:]))
def test_two_processes_killed_and_taken_up_are_never_killed(
    command: tuple[str, ...], dgmrun: Command, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    steps = ("trainer.max_steps=200", "trainer.validate_every_n_steps=70")
    command = (*command, *steps, "device=ddp_cpu", "train")
    assert dgmrun(*command, f"hydra.run.dir={whole}") == 0
    process = subprocess.Popen([sys.executable, "-m", "dgmrun", *command, f"hydra.run.dir={cut}"])
    while not (cut / "checkpoints" / "previous.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        if str(cut) in place.read_text():
            os.kill(int(place.parent.name), signal.SIGKILL)
    process.wait()
    assert json.loads((cut / "results.json").read_text())["train"]["steps"] < 200
    assert dgmrun("train", f"run={cut}") == 0
    assert_same(outcome(cut), outcome(whole))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_as_interrupted(number: int, dgmrun: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["model=rbm", *BINARY, *TINY, "trainer.max_steps=1000000", "train", f"hydra.run.dir={run}"]
    process = subprocess.Popen([sys.executable, "-m", "dgmrun", *command], stderr=subprocess.PIPE, text=True)
    while not (run / "checkpoints" / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"hint: dgmrun run={run}" in errors
    results = json.loads((run / "results.json").read_text())
    assert results["status"] == "interrupted"
    steps = results["train"]["steps"]
    assert dgmrun(f"run={run}", f"trainer.max_steps={steps + 1}") == 0
    assert json.loads((run / "results.json").read_text())["train"]["steps"] == steps + 1


def test_a_damaged_checkpoint_gives_way_to_the_one_before(dgmrun: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert dgmrun("model=rbm", *BINARY, *TINY, "train", f"hydra.run.dir={run}") == 0
    last, previous = run / "checkpoints" / "last.ckpt", run / "checkpoints" / "previous.ckpt"
    flipped = bytearray(last.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    last.write_bytes(flipped)
    assert dgmrun("train", f"run={run}", "trainer.max_steps=12") == 0
    for file in (last, previous):
        file.write_bytes(b"nothing")
    assert dgmrun("train", f"run={run}", "trainer.max_steps=13") == 1


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        (["model=rbm", *BINARY, "optimizer.lr=1e38"], "lower optimizer.lr, or set optimizer.clip_norm"),
        (["model=vae", "dataset=moons", "model.scale=1e-30"], "other data, or other settings of the model"),
    ],
)
def test_a_loss_that_is_not_finite_stops_and_saves(
    settings: list[str], cure: str, dgmrun: Command, tmp_path: Path, capsys: Any
) -> None:
    run = tmp_path / "run"
    assert dgmrun(*settings, *TINY, "train", f"hydra.run.dir={run}") == 1
    results = json.loads((run / "results.json").read_text())
    assert results["status"] == "failed"
    err = capsys.readouterr().err
    assert "is not finite at step" in err
    assert cure in err
    assert "x" in load_file(run / "non-finite-batch.safetensors")


def test_patience_keeps_the_best_weights_and_stays_over(dgmrun: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [word for word in TINY if not word.startswith(("trainer.patience", "trainer.max_steps", "schedule"))]
    command = ("model=rbm", *BINARY, *words, "trainer.patience=2", "trainer.max_steps=500", "optimizer.lr=5.0", "train")
    assert dgmrun(*command, f"hydra.run.dir={run}") == 0
    train = json.loads((run / "results.json").read_text())["train"]
    assert train["ended_by"] == "patience"
    assert train["weights_step"] == train["steps"] - 6
    weights = (run / "weights.safetensors").read_bytes()
    assert dgmrun("train", f"run={run}") == 0
    again = json.loads((run / "results.json").read_text())["train"]
    assert (again["steps"], again["weights_step"]) == (train["steps"], train["weights_step"])
    assert (run / "weights.safetensors").read_bytes() == weights


def test_longer_training_is_written_down(dgmrun: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert dgmrun("model=rbm", *BINARY, *TINY, "train", f"hydra.run.dir={run}") == 0
    assert dgmrun("train", f"run={run}", "trainer.max_steps=14") == 0
    history = json.loads((run / "results.json").read_text())["train"]["history"]
    assert history == [{"step": 11, "changes": {"trainer.max_steps": [11, 14]}}]
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_steps"] == 14
