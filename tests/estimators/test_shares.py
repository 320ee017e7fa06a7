"""Examples that several processes share out: each counts once, with noise of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed

from dgmrun.estimators.shares import of_blocks
from dgmrun.protocols.values import Batch
from tests.conftest import Command


@pytest.mark.parametrize("number", [2, 3])
def test_blocks_of_several_processes_are_those_of_one(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example once, also where blocks cannot be shared out equally, and its noise whoever draws it."""

    def noisy(block: Batch) -> tuple[Tensor, int]:
        return block.x + torch.rand(len(block.x)), len(block.x)

    def drawn() -> list[tuple[Tensor, int]]:
        torch.manual_seed(1)
        return of_blocks(noisy, Batch(torch.arange(70.0), torch.arange(70)), 20)

    alone, shares = drawn(), []
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: number)
    monkeypatch.setattr(distributed, "all_gather_object", lambda every, mine: shares.append(mine))
    for rank in range(number):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        with pytest.raises(KeyError):  # of the blocks of others
            drawn()
    monkeypatch.setattr(distributed, "all_gather_object", lambda every, mine: every.__setitem__(slice(None), shares))
    together = drawn()
    assert all(torch.equal(one, two) for (one, _), (two, _) in zip(alone, together, strict=True))
    assert sum(len(share) for share in shares) == len(alone) == 4


@pytest.mark.slow
def test_two_processes_score_as_one(dgmrun: Command, tmp_path: Path) -> None:
    """Noise belongs to the examples: also where it is drawn."""
    small = ("dataset=digits", "model.hidden=[5]", "model.latent=[2]", "trainer.max_steps=2")
    assert dgmrun("model=vae", *small, "train", "hydra.run.dir=run") == 0
    found = []
    for devices in (1, 2):
        words = ("likelihood.split=train", "likelihood.importance.num_samples=50", f"device.devices={devices}")
        assert dgmrun("likelihood", "run=run", "device=cpu", *words) == 0
        found.append(json.loads((tmp_path / "run" / "results.json").read_text())["likelihood"]["importance@train"])
    assert found[0]["examples"] == found[1]["examples"] == 1197
    for key in ("value", "standard_error", "diagnostics"):
        assert found[0][key] == pytest.approx(found[1][key], rel=1e-5), key
