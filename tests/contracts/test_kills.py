"""Contract 2 at every moment: a kill between any two renames of a training, and what a kill has left, taken up."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.contracts.halfway.sitecustomize import before_renames
from tests.contracts.pairs import Command as PairCommand
from tests.contracts.pairs import Store, assert_same, call, of_pairs, outcome

Command = Callable[..., int]
HALFWAY = Path(__file__).parent / "halfway"
THROUGHOUT = (("sbn", "nvil"), ("nade", "distill_se"))
"""Running moments and parameters of its own; a stream and chains."""


@of_pairs(quick=lambda *pair: pair in THROUGHOUT)
def test_killed_at_any_rename_and_taken_up_is_never_killed(
    model: str, objective: str, store: Store, dgmrun: Command, tmp_path: Path
) -> None:
    """Every state between two renames, from where the run is one: each of those two pairs takes up an eighth."""
    finished, run = store.get(model, objective), tmp_path / "run"
    copies: list[Path] = []

    def copies_aside(destination: Path) -> None:
        if (run / "results.json").exists():
            copies.append(Path(shutil.copytree(run, tmp_path / f"cut{len(copies)}")))

    with before_renames(copies_aside):
        call(tmp_path, *finished.command.training, "train", f"hydra.run.dir={run}")
    assert_same(outcome(run), finished.outcome)
    assert len({(copy / "checkpoints" / "last.ckpt").exists() for copy in copies}) == 2
    first, every = (4 * THROUGHOUT.index((model, objective)), 8) if (model, objective) in THROUGHOUT else (0, 1)
    for copy in copies[first::every]:
        assert dgmrun("train", f"run={copy}") == 0, copy.name
        assert_same(outcome(copy), finished.outcome, copy.name)


@of_pairs(quick=lambda *pair: pair == ("nade", "distill_se"))
def test_two_processes_killed_and_taken_up_are_never_killed(
    model: str, objective: str, store: Store, dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the state of each: a share of a stream, with its chains, is most that there can be."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    command = PairCommand(model, objective, store.teacher)
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{HALFWAY}:{os.environ.get('PYTHONPATH', '')}")
        patch.setenv("HALFWAY_COPY", str(cut))
        assert dgmrun(*command.training, "device=ddp_cpu", "train", f"hydra.run.dir={whole}") == 0
    assert len(torch.load(cut / "checkpoints" / "last.ckpt", weights_only=True)["ranks"]) == 2
    assert json.loads((cut / "results.json").read_text())["train"]["steps"] == 4
    assert dgmrun("train", f"run={cut}") == 0
    assert_same(outcome(cut), outcome(whole))


def test_a_damaged_checkpoint_gives_way_to_the_one_before(store: Store, dgmrun: Command, tmp_path: Path) -> None:
    run = Path(shutil.copytree(store.get("rbm", "pcd").run, tmp_path / "run"))
    last, previous = run / "checkpoints" / "last.ckpt", run / "checkpoints" / "previous.ckpt"
    flipped = bytearray(last.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    last.write_bytes(flipped)
    assert dgmrun("train", f"run={run}", "trainer.max_steps=9") == 0
    for file in (last, previous):
        file.write_bytes(b"nothing")
    assert dgmrun("train", f"run={run}", "trainer.max_steps=10") == 1
