"""The loop over batches does what Lightning's does."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgmrun.objectives.lightning import EpochLoop
from dgmrun.stages.train import fit
from tests.conftest import BINARY
from tests.contracts.pairs import assert_same, call, outcome

STEPS = ("trainer.max_steps=12", "trainer.validate_every_n_steps=5", "checkpoint.every_n_steps=4")
RBM = ("model=rbm", *BINARY, "model.hidden=3", "dataset.batch_size=4", "device.precision=64-true", *STEPS, "train")


def test_a_training_has_the_bits_that_the_loop_of_lightning_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In double precision, to which the loop converts batches, over several epochs, validations and checkpoints."""
    call(tmp_path, *RBM, f"hydra.run.dir={tmp_path / 'ours'}")
    monkeypatch.setattr(fit, "Batches", EpochLoop)
    call(tmp_path, *RBM, f"hydra.run.dir={tmp_path / 'theirs'}")
    assert_same(outcome(tmp_path / "ours"), outcome(tmp_path / "theirs"))
