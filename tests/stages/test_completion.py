"""Completions of half-seen pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgmrun import load
from dgmrun.stages.sample.completion import EACH
from tests.conftest import BINARY, Command

PIXELCNN = ("model=pixelcnn", "model.layers=1", "model.channels=4", *BINARY, "trainer.max_steps=2")


def test_upper_halves_are_those_of_the_data(dgmrun: Command) -> None:
    run, count = Path("run"), 2 * EACH + 1
    words = ("train", "sample", "sample.complete=top", f"sample.count={count}", f"hydra.run.dir={run}")
    assert dgmrun(*PIXELCNN, *words) == 0
    arrays = np.load(run / "completions.npz")
    assert arrays["data"].shape == (2, 1, 2, 2)
    assert arrays["x"].shape == (2 * EACH, 1, 2, 2)
    assert (arrays["x"][:, :, :1] == np.repeat(arrays["data"], EACH, 0)[:, :, :1]).all()
    assert (run / "figures" / "completions.png").is_file()
    assert (load(run).sample(count, complete="top").numpy() == arrays["x"]).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*PIXELCNN, "sample.complete=left"), "must be top or null, but is left"),
        (("model=rbm", "sample.complete=top"), "must be null for a model that draws no row given those above"),
        (
            (*PIXELCNN, "sample.complete=top", "dataset.pixel_order=column"),
            "must be null where pixels are ordered by columns",
        ),
    ],
)
def test_what_cannot_be_completed_is_refused(words: tuple[str, ...], told: str, dgmrun: Command, capsys: Any) -> None:
    assert dgmrun(*words, "train", "sample") == 2
    assert f"`sample.complete` {told}" in capsys.readouterr().err
    assert not Path("outputs").exists()
