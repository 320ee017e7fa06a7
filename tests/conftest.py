"""The real files, and the command line as a function."""

from __future__ import annotations

import gc
import io
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy
import pytest
import torch
import yaml
from PIL import Image

from dgmrun.cli import main
from dgmrun.paths import options
from dgmrun.pictures import drawing, gallery

Command = Callable[..., int]
BINARY = "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2]".split()
OF_THE_USER = {name for name, file in options("dataset").items() if "path: ???" in file.read_text()}
ELSEWHERE = set("cifar10 fashion_mnist omniglot_burda power gas hepmass miniboone bsds300".split())
"""Datasets that are not among the real data of the tests: tested on small ones in the published formats."""
DRAWN, VALUED = drawing.rendered, gallery.valued
_dot = io.BytesIO()
Image.new("L", (1, 1)).save(_dot, "png")
DOT = _dot.getvalue()
NORMAL = (f"--config-dir={Path(__file__).parent / 'configs'}", "model=normal")
"""A model of real numbers."""
STRINGS = (f"--config-dir={Path(__file__).parent / 'toys'}", "model=strings")
"""A model of strings."""
gc.set_threshold(20_000, 20, 100)
"""By default a seventh of the time of a command goes to searching torch and matplotlib for garbage again and again."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that look at pictures are marked `drawn`; elsewhere a dot stands for each, as drawing takes long.

    Those of a training, a fifth of the time of a short one, then have no axes either.
    """
    looks = item.get_closest_marker("drawn") is not None
    drawing.rendered = DRAWN if looks else lambda figure, ending: DOT
    gallery.valued = VALUED if looks else blank


def blank(x: numpy.ndarray, title: str, value: str, row: str, column: str) -> drawing.Picture:
    """A picture of values that has their numbers alone."""
    picture = drawing.Picture()
    picture.data = {"values": x[: gallery.MOST]}
    return picture


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Every test draws what it drew before."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered in the user's home, and no write waits for the disk: a test outlives no power failure."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """$DGMRUN_DATA, else shared/data beside the checkout."""
    folder = Path(os.environ.get("DGMRUN_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        absent = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        absent(f"no real data: {folder} is no folder; name one in DGMRUN_DATA")
    return folder


@pytest.fixture
def dgmrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`dgmrun(words...)`: the console script in this process, in a folder of its own; gives the exit status."""
    monkeypatch.chdir(tmp_path)

    def command(*argv: str) -> int:
        monkeypatch.setattr(sys, "argv", ["dgmrun", *argv])
        return main()

    return command


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small RBM on bars and stripes, with an exact log Z."""
    folder = tmp_path_factory.mktemp("teacher")
    data = "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4".split()
    words = ("model=rbm", "model.hidden=3", "trainer.max_steps=50", "log_z.methods=[exact]", "train", "log_z")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["dgmrun", *words, *data, f"hydra.run.dir={folder / 'run'}"])
        assert main() == 0
    return folder / "run"


def of_other_data() -> list[str]:
    """Models that are not for binary data: their YAML names a dataset of their own."""
    return [name for name, file in options("model").items() if "/dataset" in file.read_text()]


@cache
def texts() -> list[str]:
    """A file of 90 texts of up to 5 words and the end, in two classes: whether word 2 is in it."""
    draw = numpy.random.default_rng(0)
    x = draw.integers(1, 6, (90, 6)) * (numpy.arange(6) < draw.integers(1, 6, (90, 1)))
    file = Path(tempfile.mkdtemp()) / "texts.npz"
    numpy.savez(file, x=x, y=(x == 2).any(1).astype(int))
    return ["dataset=file", f"dataset.path={file}", "dataset.event={shape:[6],kind:tokens,size:6}"]


DERIVED = "'S -> a S | b S | c S | d S | e S | a | b | c | d | e'"
"""A grammar of the strings of `texts`."""


def small_data(model: str) -> list[str]:
    """What a model is quickly trained on: bits, texts, grey pictures of bits in place of MNIST, or its own dataset."""
    text = options("model")[model].read_text()
    if "/dataset: equations" in text:
        return [*texts(), *([f"model.grammar={DERIVED}"] if "grammar: " in text else [])]
    if "/dataset: sst" in text:
        return texts()
    return [*BINARY, "dataset.event.kind=unit"] if "/dataset: mnist" in text else [] if "/dataset" in text else BINARY


def narrow(text: str) -> list[str]:
    """Sizes of a configuration with large networks, made small, and steps of its samples few."""
    if "  channels: " in text:
        return ["model.channels=6", "model.layers=1", *["model.head=6"] * ("  head: " in text)]
    if "models.diffusion" in text or "/model: diffusion" in text:
        return ["model.width=4", "model.depth=1", "sample.steps=3"]
    if "  fade: " in text:  # grows while a checkpoint is waited for
        return ["model.hidden=2", "model.fade=2", "model.stable=0", "objective.critic.hidden=2"]
    if "models.dbn" in text:
        return ["model.hidden=[20,10]"]
    if "models.lapgan" in text or "/model: lapgan" in text:
        return ["model.levels=1", "model.maps=2", "model.hidden=8", "objective.critic.hidden=8"]
    if "models.dae" in text or "/model: dae" in text:
        return ["model.hidden=20"]
    return ["model.residual_blocks=0", "model.feature_maps=2"] if "feature_maps" in text else []


def with_teacher(objective: str, teacher: Path) -> list[str]:
    """What an objective needs beside its name: a teacher and a short stream, or a turn for both players soon."""
    node = yaml.safe_load(options("objective")[objective].read_text())
    short = ["objective.stream.num_chains=8", "objective.stream.burn_in=3"] if "stream" in node else []
    turn = ["objective.k=1"] if "critic" in node else []
    return [f"objective.teacher={teacher}", *short] if "teacher" in node else turn
