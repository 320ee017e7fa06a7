"""How a training ends, by limits, signals, SIGKILL or a loss that is not finite, and how it goes on."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from tests.conftest import BINARY
from tests.contracts.halfway.sitecustomize import before_renames
from tests.contracts.pairs import TINY, Store, assert_same, outcome

Command = Callable[..., int]
RBM = ("model=rbm", *BINARY, *TINY)


def test_a_real_sigkill_through_the_console_script(dgmrun: Command, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    command = [*RBM, "trainer.max_steps=300", "trainer.validate_every_n_steps=50", "checkpoint.every_n_steps=20"]
    process = subprocess.Popen([sys.executable, "-m", "dgmrun", *command, "train", f"hydra.run.dir={cut}"])
    deadline = time.monotonic() + 120
    while not (cut / "checkpoints" / "previous.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((cut / "results.json").read_text())["status"] == "running"
    assert dgmrun(*command, "train", f"hydra.run.dir={whole}") == 0
    assert dgmrun("train", f"run={cut}") == 0
    assert_same(outcome(cut), outcome(whole))


def test_a_real_sigint_through_the_console_script(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [*RBM, "trainer.max_steps=1000000", "train", f"hydra.run.dir={run}"]
    process = subprocess.Popen([sys.executable, "-m", "dgmrun", *command], stderr=subprocess.PIPE, text=True)
    while not (run / "checkpoints" / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert_interrupted(run, process.returncode, errors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_as_interrupted(
    number: int, dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"

    def sends(destination: Path) -> None:
        if destination.name == "previous.ckpt":
            os.kill(os.getpid(), number)

    with before_renames(sends):
        status = dgmrun(*RBM, "trainer.max_steps=1000000", "train", f"hydra.run.dir={run}")
    steps = assert_interrupted(run, status, capsys.readouterr().err)
    assert steps < 10
    assert dgmrun(f"run={run}", f"trainer.max_steps={steps + 1}") == 0
    assert json.loads((run / "results.json").read_text())["train"]["steps"] == steps + 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_ignored_at_the_start_interrupts(
    number: int, dgmrun: Command, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell ignores SIGINT for what it starts in the background."""
    before = signal.signal(number, signal.SIG_IGN)
    monkeypatch.setattr("dgmrun.cli._command", lambda argv: os.kill(os.getpid(), number))
    try:
        assert dgmrun("train") == 130
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == "error: interrupted\n"


def test_an_interrupted_evaluation_says_how_to_repeat_it(
    dgmrun: Command, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    assert dgmrun("model=rbm", *BINARY, "trainer.max_steps=1", "hydra.run.dir=a run", "train") == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr("dgmrun.workbench.scoring.score", interrupted)
        assert dgmrun("likelihood", "run=a run", "likelihood.methods=[exact]") == 130
    errors = capsys.readouterr().err
    assert "error: interrupted in likelihood; what came before is saved\n" in errors
    words = shlex.split(errors.split("hint: dgmrun ")[1])
    assert words[1:] == ["likelihood.methods=[exact]", "stages=[likelihood]"]
    assert dgmrun(*words) == 0


def assert_interrupted(run: Path, status: int, errors: str) -> int:
    """A run that saved what it had and said how to go on; gives its steps."""
    assert status == 130
    assert "Traceback" not in errors
    assert f"hint: dgmrun run={run}" in errors
    results = json.loads((run / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert results["train"]["steps"] > 0
    return int(results["train"]["steps"])


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


def test_longer_training_is_written_down(store: Store, dgmrun: Command, tmp_path: Path) -> None:
    run = Path(shutil.copytree(store.get("rbm", "pcd").run, tmp_path / "run"))
    assert dgmrun("train", f"run={run}", "trainer.max_steps=10") == 0
    history = json.loads((run / "results.json").read_text())["train"]["history"]
    changes = {"trainer.max_steps": [8, 10], "schedule.total_iters": [2, 3]}
    assert history == [{"step": 8, "changes": changes}]
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_steps"] == 10
