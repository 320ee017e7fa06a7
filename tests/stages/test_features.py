"""Fidelity by features of a run, through the command line: what they are of, what is told, and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from dgmrun.cli import main
from dgmrun.protocols.features import X
from dgmrun.run.directory import Run
from dgmrun.workbench import features
from dgmrun.workbench.setup import Setup
from tests.conftest import STRINGS

Command = Callable[..., int]
GREY = ("dataset=digits", "dataset.binarisation=none")
GAN = (*GREY, "model=gan", "model.hidden=8", "trainer.max_steps=4", "hydra.run.dir=run")
ALL = "fidelity.methods=[mmd,fid,kid,precision,recall,copying]"
CHEAP = ("fidelity.examples=60", "fidelity.mmd.permutations=9", "fidelity.fid.resamples=2")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of grey digits, hardly trained."""
    run = tmp_path_factory.mktemp("classifier") / "run"
    trained("model=classifier", *GREY, "model.features=5", "trainer.max_steps=3", f"hydra.run.dir={run}")
    return run


def trained(*words: str) -> None:
    """`dgmrun train ...` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dgmrun", "train", *words])
        assert main() == 0


def results() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("run/results.json").read_text())
    return content


@pytest.mark.drawn
def test_figures_name_their_features_and_are_ranked_with_nothing(
    classifier: Path, dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun(*GAN, *CHEAP, f"fidelity.features={classifier}", "train", "fidelity") == 0
    found = results()["fidelity"]
    assert set(found) >= {"mmd", "fid", "kid", "precision", "recall", "copying"}
    identity = vars(Run.open(classifier).identity())
    assert all(figure["settings"]["features"] == identity for figure in found.values())
    assert [found[name]["bias"] for name in ("mmd", "kid", "fid")] == ["none", "none", "up"]
    assert f"by features of run ({identity['weights_sha256'][:8]})" in capsys.readouterr().err
    assert results()["inputs"] == []
    with Image.open("run/figures/neighbours.png") as picture:
        assert min(picture.size) > 300
    assert len(numpy.load("run/per_example/test-fidelity.recall.npz")["value"]) == 60

    assert dgmrun("fidelity", "run=run", "fidelity.features=null", "fidelity.methods=[kid]") == 0
    assert results()["fidelity"]["kid"]["settings"]["features"] == X
    assert dgmrun("compare", "--wide", "run") == 0
    shown = capsys.readouterr().out
    assert f"kid by {X}" in shown
    assert "fid by features of run (" in shown
    assert "best first" not in shown


def of_run(*words: str) -> Setup:
    trained(*words)
    run = Run.open("run")
    return Setup(run.config, run=run.path)


def test_the_same_seed_gives_the_same_figures_and_features_draw_nothing(classifier: Path, dgmrun: Command) -> None:
    words = (*CHEAP, f"fidelity.features={classifier}")
    setup = of_run(*GAN, *words, "fidelity")
    first = {name: each | {"seconds": 0} for name, each in results()["fidelity"].items()}
    assert dgmrun("fidelity", "run=run") == 0
    assert {name: each | {"seconds": 0} for name, each in results()["fidelity"].items()} == first
    before = torch.get_rng_state()
    features.features(setup).of(features.training(setup)[:50])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def greys(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, ...], Path]:
    """Pictures of levels k / 255 in two classes, and a run of their classifier."""
    folder = tmp_path_factory.mktemp("greys")
    file, run = folder / "greys.npz", folder / "run"
    x = numpy.random.default_rng(0).integers(0, 256, (90, 1, 4, 4), dtype=numpy.uint8)
    numpy.savez(file, x=x, y=(x.mean((1, 2, 3)) > 127).astype(int))
    data = ("dataset=file", f"dataset.path={file}")
    trained("model=classifier", *data, "dataset.transform=none", "trainer.max_steps=3", f"hydra.run.dir={run}")
    return data, run


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("made", "dataset.transform=levels"),
        ("gan", "dataset.transform=dequantise"),
        ("bernoulli", "dataset.binarisation=threshold"),
    ],
)
def test_a_network_of_greys_sees_levels_and_bits_as_greys(
    model: str, kind: str, greys: tuple[tuple[str, ...], Path], dgmrun: Command
) -> None:
    data, run = greys
    words = (f"model={model}", *data, kind, "trainer.max_steps=2", f"fidelity.features={run}")
    setup = of_run(*words, "hydra.run.dir=run")
    its: Any = Setup(Run.open(run).config, run=run).trained_model(Run.open(run))
    x = setup.original(setup.seen(setup.scored("test").rows(slice(20))).x)
    grey = x.double() / 255 if setup.levels else x.double()
    expected = its.features(grey.float()).double()
    torch.testing.assert_close(features.features(setup).of(x), expected, rtol=1e-4, atol=1e-5)


def test_equal_examples_have_equal_features_to_the_bit(classifier: Path, dgmrun: Command) -> None:
    setup = of_run(*GAN, f"fidelity.features={classifier}")
    x = torch.rand(7, 1, 8, 8).repeat(150, 1, 1, 1)
    found = features.features(setup).of(x).reshape(150, 7, -1)
    assert torch.equal(found, found[:1].expand_as(found))


def test_columns_are_standardised_each_and_pixels_together(dgmrun: Command, tmp_path: Path) -> None:
    draw = numpy.random.default_rng(0)
    x = draw.normal(size=(60, 3)) * [1, 100, 0] + [0, 5, 7]
    numpy.savez(tmp_path / "table.npz", x=x.astype(numpy.float32))
    table = ("model=gaussian", "dataset=file", f"dataset.path={tmp_path / 'table.npz'}", "trainer.max_steps=2")
    setup = of_run(*table, "hydra.run.dir=run")
    z = features.features(setup).of(features.training(setup))
    torch.testing.assert_close(z.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var(0, correction=0), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


def test_strings_are_compared_by_their_words_in_places(dgmrun: Command, tmp_path: Path) -> None:
    x = numpy.random.default_rng(0).integers(1, 4, (90, 3))
    numpy.savez(tmp_path / "strings.npz", x=x)
    data = ("dataset=file", f"dataset.path={tmp_path / 'strings.npz'}", "dataset.event={shape:[3],kind:tokens,size:4}")
    words = (*STRINGS, *data, "trainer.max_steps=2", "fidelity.mmd.permutations=9", "hydra.run.dir=run")
    assert dgmrun(*words, "train", "fidelity", "fidelity.methods=[mmd]") == 0
    assert results()["fidelity"]["mmd"]["samples"] == results()["fidelity"]["mmd"]["examples"]


def test_what_has_no_such_features_is_refused_before_training(
    classifier: Path, dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun(*GAN, "train") == 0
    makes = "hint: dgmrun model=classifier dataset=... train makes one of the same data\n"
    for words, message in (
        ((f"fidelity.features={classifier}", "dataset=moons"), makes),
        (
            ("fidelity.features=run",),
            "`fidelity.features` must be a run whose model has features, but its model is gan",
        ),
        (
            ("dataset=moons", f"fidelity.features={classifier}"),
            "`fidelity.features` must be a run on examples as these, [2] of kind real",
        ),
    ):
        assert dgmrun(*GAN[2:-1], *GREY[: 2 * ("dataset=moons" not in words)], *words, "train", "fidelity", ALL) == 2
        assert message in capsys.readouterr().err
    assert dgmrun("model=classifier", *GREY, "train", "fidelity", "fidelity.methods=[fid]") == 2
    assert "`fidelity.methods` can have fid only where x is modelled" in capsys.readouterr().err
