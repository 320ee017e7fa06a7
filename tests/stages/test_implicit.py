"""A model that only samples, through the command line: what it is refused, and what can be said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dgmrun import load
from dgmrun.run.directory import Run
from dgmrun.workbench.scoring import selecting
from dgmrun.workbench.setup import Setup

Command = Callable[..., int]
GAN = ("model=gan", "model.hidden=8", "dataset.sizes=[400,100,100]", "trainer.max_steps=30", "hydra.run.dir=run")


def results() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("run/results.json").read_text())
    return content


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("log_z", "`log_z` must have a model with an unnormalised density"),
        ("gradients", "`gradients` must have a latent variable model"),
        ("likelihood", "`likelihood.methods` must name some of ais, reverse_ais for the model gan, but is auto"),
    ],
)
def test_a_stage_that_it_cannot_have_is_refused_in_a_line(
    word: str, message: str, dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun(*GAN, "train") == 0
    capsys.readouterr()
    assert dgmrun(word, "run=run") == 2
    assert message in capsys.readouterr().err
    assert dgmrun(*GAN[:-1], "hydra.run.dir=other", "train", word) == 2
    assert not Path("other/results.json").exists()


def test_with_noise_added_it_has_a_likelihood(dgmrun: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scale for both bounds, selected on examples that are not scored."""
    monkeypatch.setattr("dgmrun.estimators.annealing.LEAST", 10)
    same = ("num_chains=1", "num_temperatures=10", "num_valid=20", "num_examples=5")
    ais = [f"likelihood.{name}.{each}" for name, most in (("ais", 3), ("reverse_ais", 4)) for each in same[:most]]
    some = ("likelihood.methods=[ais,reverse_ais]", "likelihood.split=[valid]", "likelihood.examples=20", *ais)
    assert dgmrun(*GAN, "train", "likelihood", *some) == 0
    found = results()["likelihood"]
    assert {name: each["kind"] for name, each in found.items()} == {
        "ais@valid": "lower_bound",
        "reverse_ais@simulated": "upper_bound",
    }
    assert {(each["quantity"], each["unit"]) for each in found.values()} == {("log_likelihood", "nats")}
    (scale,) = {each["diagnostics"]["scale"] for each in found.values()}
    assert 0.05 <= scale <= 1
    assert all("Gaussian noise" in " ".join(each["warnings"]) for each in found.values())
    setup = Setup(Run.open("run").config)
    free = selecting(setup, "likelihood", ["valid", "test"]).index.tolist()
    assert sorted(free + setup.places("valid", 20).tolist()) == list(range(100))
    assert selecting(setup, "likelihood", ["test"]).index.tolist() == list(range(100))


def test_a_divergence_is_told_and_ranked_with_nothing(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    ratio = ("fidelity", "fidelity.methods=[ratio]")
    assert dgmrun(*GAN, "train", *ratio) == 0
    assert dgmrun(*GAN[:-1], "seed=1", "hydra.run.dir=other", "train", *ratio) == 0
    found = results()["fidelity"]["ratio"]
    assert (found["quantity"], found["kind"], found["unit"]) == ("jsd", "lower_bound", "nats")
    assert 0.3 < found["value"] < 0.6932
    assert "lower bound of jsd" in capsys.readouterr().err
    assert dgmrun("compare", "run", "other") == 0
    shown = capsys.readouterr().out
    assert "fidelity.ratio" in shown
    assert "best first" not in shown


def test_a_chain_is_judged_by_where_it_ends_which_is_said(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    chain = ("model=dae", "model.hidden=8", "trainer.max_steps=2", "fidelity.ratio.trees=20", "hydra.run.dir=run")
    assert dgmrun(*chain, "train", "fidelity", "fidelity.burn_in=-1") == 2
    assert "`fidelity.burn_in` must be a whole number and at least 0, but is -1" in capsys.readouterr().err
    assert dgmrun(*chain, "train", "fidelity", "fidelity.burn_in=30") == 0
    found = results()["fidelity"]["ratio"]
    assert 0.1 < found["value"] < 0.6932, "so short a training is told apart"
    assert "chains of 30 steps from training examples" in found["warnings"][0]


def test_too_few_examples_for_a_classifier_are_a_mistake(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("dataset.sizes=[400,100,30]", "fidelity.methods=[ratio]")
    assert dgmrun(*GAN, *few, "train", "fidelity") == 2
    assert "at least 100" in capsys.readouterr().err


def test_modes_are_counted(dgmrun: Command) -> None:
    assert dgmrun(*GAN, "dataset.modes=25", "fidelity.methods=[coverage]", "train", "fidelity", "sample") == 0
    coverage = results()["fidelity"]["coverage"]
    found = coverage["diagnostics"]
    assert found["modes"] == 25
    assert 0 <= found["covered"] <= 25
    assert coverage["value"] == found["covered"] / 25
    assert 0 <= found["near"] <= 1
    assert not {"modes", "covered", "near"} & results()["sample"].keys()


@pytest.mark.drawn
@pytest.mark.parametrize("objective", ["gan", "wgan_gp"])
def test_a_density_that_a_critic_fits_is_scored_and_its_critic_is_drawn(objective: str, dgmrun: Command) -> None:
    settings = ("experiment=two_modes", f"objective={objective}", "trainer.max_steps=20", "hydra.run.dir=run")
    assert dgmrun(*settings, "dataset.sizes=[500,100,100]", "train", "likelihood") == 0
    assert results()["likelihood"]["exact"]["kind"] == "exact"
    with Image.open("run/figures/critic.png") as picture:
        assert min(picture.size) > 300
        assert picture.convert("L").getextrema()[0] < 200


def test_a_training_with_a_batch_of_one_is_whole(dgmrun: Command) -> None:
    settings = ("dataset.sizes=[401,100,100]", "trainer.max_steps=6")
    assert dgmrun(*GAN[:2], *settings, "hydra.run.dir=run", "train") == 0
    assert results()["train"]["warnings"] == []
    assert dgmrun("train", "run=run", "trainer.max_steps=12") == 0
    assert results()["train"]["steps"] == 12


def test_validation_has_the_precision_of_the_model(dgmrun: Command) -> None:
    assert dgmrun(*GAN, "device.precision=64-true", "train") == 0


def test_a_generator_that_was_never_moved_is_told(dgmrun: Command) -> None:
    assert dgmrun(*GAN, "objective.k=1000", "train") == 0
    assert "has made no step in 30 batches" in results()["train"]["warnings"][0]


def test_the_schedule_of_a_generator_ends_with_the_training(dgmrun: Command) -> None:
    import torch

    assert dgmrun(*GAN, "objective.k=5", "schedule=linear", "train") == 0
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    generator, critic = (each["param_groups"][0]["lr"] for each in state["optimizer_states"])
    assert generator == critic


def test_patience_is_refused_where_only_a_critic_validates(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert dgmrun(*GAN, "trainer.patience=3", "train") == 2
    assert "`trainer.patience` must be null" in capsys.readouterr().err


@pytest.mark.parametrize("objective", ["wgan", "wgan_gp"])
def test_the_critic_is_in_the_checkpoint_and_not_in_the_weights(objective: str, dgmrun: Command) -> None:
    import torch
    from safetensors.torch import load_file

    assert dgmrun(*GAN, f"objective={objective}", "optimizer.ema=0.9", "train") == 0
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    assert len(state["optimizer_states"]) == 2
    critic = [part for name, part in state["state_dict"].items() if name.startswith("critic.")]
    assert critic
    if objective == "wgan":
        assert max(float(part.abs().max()) for part in critic) <= torch.tensor(0.01).item()
    assert not any("critic" in name for name in load_file("run/weights.safetensors"))
    assert Path("run/weights-ema.safetensors").exists()


def test_the_likelihood_of_its_student_is_said_not_to_be_its_own(
    dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun(*GAN, "dataset.batch_size=30", "train") == 0
    student = ("model=gaussian", "objective=distill_kl", "objective.teacher=run", "trainer.max_steps=30")
    assert dgmrun(*student, "hydra.run.dir=student", "train", "likelihood") == 0
    assert "its teacher, a gan, has no density" in capsys.readouterr().err
    of_student = json.loads(Path("student/results.json").read_text())["likelihood"]["exact"]
    assert "nor bounds it" in of_student["warnings"][-1]
    _, estimate = load("student").log_prob("test")
    assert estimate.warnings == of_student["warnings"]
