"""What is saved, read once, and put back; what is damaged or finished."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dgmrun.errors import RunFailed
from dgmrun.objectives.adversarial import base
from dgmrun.stages.train import saved
from tests.conftest import BINARY

Command = Callable[..., int]
RBM = ("model=rbm", *BINARY, "model.hidden=3", "dataset.batch_size=4", "trainer.max_steps=5", "schedule=linear")
EVERY = ("checkpoint.every_n_steps=2", "trainer.accumulate=3", "hydra.run.dir=run")
CHECKPOINTS = Path("run/checkpoints")


def rates(run: str) -> dict[int, float]:
    """The learning rate after each step that TensorBoard shows."""
    shown = EventAccumulator(run).Reload()
    return {event.step: event.value for event in shown.Scalars("train/lr")}


CYCLE = """_target_: torch.optim.lr_scheduler.OneCycleLR
horizon: total_steps
max_lr: 0.1
"""


LONGER = [
    *((schedule, ["trainer.max_steps=24"]) for schedule in ("cosine", "linear", "multistep", "cycle")),
    *(
        ("cosine", ["trainer.max_epochs=9"]),
        ("multistep", ["trainer.accumulate=2"]),
        ("cycle", ["trainer.accumulate=2"]),
    ),
]


@pytest.mark.parametrize(("schedule", "longer"), LONGER)
def test_a_training_that_goes_on_has_the_rates_of_one_of_the_new_length(
    schedule: str, longer: list[str], dgmrun: Command, tmp_path: Path
) -> None:
    """From the step at which it goes on, whatever its settings were before."""
    (tmp_path / "mine" / "schedule").mkdir(parents=True)
    (tmp_path / "mine" / "schedule" / "cycle.yaml").write_text(CYCLE)
    mine = "--config-dir=mine"
    command = ["model=rbm", *BINARY, "model.hidden=3", "dataset.batch_size=4", "optimizer.momentum=0.5"]
    command += [mine, f"schedule={schedule}", "trainer.max_steps=12", "trainer.validate_every_n_steps=8", "train"]
    command += ["schedule.milestones=[2,16]"] if schedule == "multistep" else []
    assert dgmrun(*command, *longer, "hydra.run.dir=whole") == 0
    assert dgmrun(*command, "trainer.max_steps=8", "hydra.run.dir=cut") == 0
    before = rates("cut")
    assert dgmrun(mine, "run=cut", "trainer.max_steps=12", *longer) == 0
    whole, cut = rates("whole"), rates("cut")
    assert {step: rate for step, rate in cut.items() if step <= 8} == before
    assert {step: rate for step, rate in cut.items() if step > 8} == {s: r for s, r in whole.items() if s > 8}
    assert len(whole) == max(whole)
    states = [torch.load(f"{name}/checkpoints/last.ckpt")["schedule_states"] for name in ("whole", "cut")]
    assert states[0] == states[1]
    (entry,) = json.loads(Path("cut/results.json").read_text())["train"]["history"]
    horizon = {"cosine": "T_max", "linear": "total_iters", "cycle": "total_steps"}.get(schedule)
    changed = [change for key, change in entry["changes"].items() if key == f"schedule.{horizon}"]
    length = {"max_steps": 24, "max_epochs": 18, "accumulate": 6}[longer[0].split(".")[1].split("=")[0]]
    assert changed == ([[8, length]] if horizon and length != 8 else [])


def flip(file: Path) -> None:
    """Damages one bit."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_damaged_checkpoint_never_takes_the_place_of_the_whole_one(
    dgmrun: Command, caplog: pytest.LogCaptureFixture
) -> None:
    assert dgmrun(*RBM, *EVERY, "train") == 0
    last, previous = CHECKPOINTS / "last.ckpt", CHECKPOINTS / "previous.ckpt"
    assert [saved.read(file).iteration for file in (last, previous)] == [5, 4]
    flip(last)
    with pytest.raises(RunFailed, match="must be a whole checkpoint"):
        saved.read(last)
    newest = saved.newest(CHECKPOINTS)
    assert newest is not None
    assert newest.iteration == 4
    assert "last.ckpt is damaged" in caplog.text
    assert "goes on from previous.ckpt, at step" in caplog.text
    assert dgmrun("train", "run=run") == 0
    assert [saved.read(file).iteration for file in (last, previous)] == [5, 4]
    for file in (last, previous):
        flip(file)
    with pytest.raises(RunFailed, match="all are damaged"):
        saved.newest(CHECKPOINTS)


def test_a_checkpoint_is_tensors_and_plain_values(dgmrun: Command) -> None:
    assert dgmrun(*RBM, *EVERY, "train") == 0
    state = torch.load(CHECKPOINTS / "last.ckpt", weights_only=True)
    assert state.keys() == saved.PARTS.keys()
    assert state["callbacks"].keys() == {"Limits", "Validation"}
    assert state["gradients"].keys() == {"model.weight", "model.visible_bias", "model.hidden_bias"}
    assert len(state["optimizer_states"]) == len(state["schedule_states"]) == 1
    (rank,) = state["ranks"]
    assert rank["objective"]["chains"].dtype == torch.bool


def test_each_checkpoint_is_read_once(dgmrun: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dgmrun(*RBM, *EVERY, "train") == 0
    load, read = torch.load, []
    monkeypatch.setattr(torch, "load", lambda file, **settings: (read.append(file), load(file, **settings))[1])
    assert dgmrun("train", "run=run", "trainer.max_steps=9") == 0
    assert [file.name for file in read] == ["last.ckpt"]


def test_doubts_of_a_finished_training_stay_what_they_are(dgmrun: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they are told by is put back, too."""
    monkeypatch.setattr(base, "ALIKE", 1e9)
    command = ("model=gan", "dataset.sizes=[40,20,20]", "dataset.batch_size=10", "trainer.max_steps=20")
    assert dgmrun(*command, "trainer.validate_every_n_steps=20", "train", "hydra.run.dir=run") == 0
    first = json.loads(Path("run/results.json").read_text())["train"]["warnings"]
    assert "all alike" in first[0]
    assert dgmrun("train", "run=run") == 0
    assert json.loads(Path("run/results.json").read_text())["train"]["warnings"] == first
