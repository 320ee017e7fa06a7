"""Contracts 1, 2, 4 and 6 of every model with every objective that fits it, of one training of each."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from dgmrun.command.execution import execute
from dgmrun.protocols.quantities import QUANTITIES
from dgmrun.run.directory import Run
from dgmrun.workbench.setup import Setup
from tests.contracts.pairs import Command as PairCommand
from tests.contracts.pairs import Finished, Store, assert_same, of_pairs, outcome, pairs

Command = Callable[..., int]


@of_pairs()
def test_results_are_complete_and_honest(finished: Finished) -> None:
    results = finished.results
    assert results["status"] == "done"
    examples = results["dataset"]["splits"]["test"]["examples"]
    scores = results.get("likelihood", {}) | results.get("fidelity", {})
    for label, estimate in (results.get("log_z", {}) | scores).items():
        assert estimate["quantity"] in QUANTITIES
        assert estimate["kind"] in ("exact", "estimate", "lower_bound", "upper_bound"), label
        assert estimate["bias"] in ("none", "up", "down", "unknown")
        assert estimate["unit"] == "nats"
        assert math.isfinite(estimate["value"])
        assert estimate["standard_error"] is not None or estimate["warnings"]
        assert estimate["interval"] or estimate["warnings"]
        assert len(estimate["of"]["weights_sha256"]) == 64
        mine = estimate["proposal"] or estimate["of"]
        assert mine["step"] == results["train"]["weights_step"]
    for estimate in scores.values():
        assert (estimate["split"], estimate["examples"]) == ("test", examples)


@of_pairs()
def test_every_parameter_gets_a_gradient(finished: Finished) -> None:
    """The momentum of each has moved."""
    state = torch.load(finished.run / "checkpoints" / "last.ckpt", weights_only=True)
    for optimizer in state["optimizer_states"]:
        momenta = [entry["momentum_buffer"] for entry in optimizer["state"].values()]
        assert len(momenta) == sum(len(group["params"]) for group in optimizer["param_groups"])
        assert all(bool(momentum.abs().sum() > 0) for momentum in momenta)


@of_pairs()
def test_reloads_and_scores_the_same_to_the_last_bit(finished: Finished, tmp_path: Path) -> None:
    """Of its files alone; that a command finds its saved settings is shown where a kill is taken up."""
    run, stages = Path(shutil.copytree(finished.run, tmp_path / "run")), finished.command.stages
    saved = Run.open(run)
    execute(saved, Setup(saved.config, run=run), list(stages))
    again = json.loads((run / "results.json").read_text().replace(f'"{run}"', f'"{finished.run}"'))
    for word in stages:
        assert finished.results[word].keys() == again[word].keys()
        for label, estimate in finished.results[word].items():
            assert again[word][label] | {"seconds": 0} == estimate | {"seconds": 0}


@of_pairs(quick=lambda model, objective: model == next(each for each, other in pairs() if other == objective))
def test_killed_and_taken_up_is_never_killed(finished: Finished, dgmrun: Command, tmp_path: Path) -> None:
    """With a gradient that waits for others, and logged steps after the checkpoint; whatever else its state is.

    What is kept between steps is most of all the objective's: quickly, one model by each.
    """
    assert_taken_up(finished, finished.cut, dgmrun, tmp_path / "cut")


def test_killed_with_local_posteriors_and_taken_up_is_never_killed(
    store: Store, dgmrun: Command, tmp_path: Path
) -> None:
    finished = store.get(
        "vae", "elbo", "model.posterior=local", "likelihood.methods=[elbo]", "likelihood.elbo.local_steps=3"
    )
    assert_taken_up(finished, finished.cut, dgmrun, tmp_path / "cut")


def test_killed_with_several_masks_and_taken_up_is_never_killed(store: Store, dgmrun: Command, tmp_path: Path) -> None:
    """Which mask is next is told by the state of the generators."""
    finished = store.get("made", "mle", "model.masks=3")
    assert_taken_up(finished, finished.cut, dgmrun, tmp_path / "cut")


def test_killed_before_a_change_of_stage_and_taken_up_is_never_killed(
    store: Store, dgmrun: Command, tmp_path: Path
) -> None:
    """The fourth batch is of the first stage, the sixth of the second."""
    steps = ("model.levels=1", "objective.stage_steps=1", "trainer.accumulate=5", "trainer.max_steps=12")
    finished = store.get("lapgan", "lapgan", *steps)
    first, last = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (finished.cut, finished.run)
    )
    assert [[bool(each["state"]) for each in saved["optimizer_states"]] for saved in (first, last)] == [
        [False] * 4,
        [True] * 4,
    ]
    assert {name.split(".")[1] for name in first["gradients"]} == {"0", "coarsest"}
    assert_taken_up(finished, finished.cut, dgmrun, tmp_path / "cut")


OF_DOUBLES = {("vae", "elbo"), ("nade", "distill_mix")}


@of_pairs(quick=lambda *pair: pair in OF_DOUBLES)
def test_trains_goes_on_and_is_scored_in_double_precision(
    model: str, objective: str, store: Store, dgmrun: Command, tmp_path: Path
) -> None:
    command = PairCommand(model, objective, store.teacher, "device.precision=64-true")
    assert dgmrun(*command.training, "train", "hydra.run.dir=run") == 0
    assert dgmrun("run=run", "train", *command.stages, "trainer.max_steps=10") == 0
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    assert {part.dtype for part in weights.values() if part.is_floating_point()} == {torch.float64}


def assert_taken_up(finished: Finished, cut: Path, dgmrun: Command, to: Path) -> None:
    """What a kill has left becomes, taken up, what was not killed."""
    run = Path(shutil.copytree(cut, to))
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["iteration"] == 4
    assert state["gradients"]
    assert dgmrun("train", f"run={run}") == 0
    assert_same(outcome(run), finished.outcome)
