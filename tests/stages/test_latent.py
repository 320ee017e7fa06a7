"""Latent variable models through the command line: their figures, their pictures, and what they are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dgmrun.run.directory import Run
from dgmrun.workbench.setup import Setup
from tests.conftest import BINARY

Command = Callable[..., int]
VAE = (
    "model=vae",
    "model.latent=[3,2]",
    "model.hidden=[8,8]",
    "trainer.max_steps=20",
    "likelihood.importance.num_samples=50",
)
SMALL = (
    "likelihood.ais.num_temperatures=10 likelihood.ais.num_chains=2 likelihood.reverse_ais.num_temperatures=10 "
    "likelihood.reverse_ais.num_examples=5 likelihood.elbo.num_samples=10 sample.count=9"
).split()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """How well chains and posteriors are fitted before they are used is the affair of tests/estimators."""
    monkeypatch.setattr("dgmrun.estimators.annealing.LEAST", 10)
    monkeypatch.setattr("dgmrun.estimators.local.STEPS", 20)


def results(run: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(run, "results.json").read_text())
    return content


def test_every_method_says_what_it_is(dgmrun: Command) -> None:
    methods = "likelihood.methods=[importance,elbo,ais,reverse_ais]"
    assert dgmrun(*VAE, *BINARY, *SMALL, methods, "train", "likelihood", "hydra.run.dir=run") == 0
    found = results("run")["likelihood"]
    assert list(found) == ["importance", "elbo", "ais", "reverse_ais@simulated"]
    assert found["ais"]["settings"] == {"num_chains": 2, "num_temperatures": 10, "spacing": "sigmoid"}
    kinds = {name: (each["kind"], each["bias"], each["split"], each["examples"]) for name, each in found.items()}
    below = ("lower_bound", "down", "test", 6)
    assert kinds == dict.fromkeys(("importance", "elbo", "ais"), below) | {
        "reverse_ais@simulated": ("upper_bound", "up", "simulated", 5)
    }
    assert {"active_units_1", "active_units_2"} < set(found["importance"]["diagnostics"])
    assert Path("run/figures/likelihood.png").exists()


@pytest.mark.drawn
def test_points_in_the_plane_are_drawn_as_points(dgmrun: Command) -> None:
    command = (*VAE, "dataset=moons", "dataset.sizes=[100,20,20]", "train", "likelihood", "sample")
    assert dgmrun(*command, "hydra.run.dir=run") == 0
    assert {file.stem for file in Path("run/figures").iterdir()} == {"samples", "activity", "map", "likelihood"}
    with Image.open("run/figures/samples.png") as picture:
        assert picture.width > picture.height > 400
    assert dgmrun(*command, "dataset.noise=-1", "hydra.run.dir=refused") == 2


def test_what_was_simulated_is_ranked_with_nothing(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    for run in ("a", "b"):
        methods = "likelihood.methods=[reverse_ais]"
        assert dgmrun(*VAE, *BINARY, *SMALL, methods, "train", "likelihood", f"hydra.run.dir={run}") == 0
    capsys.readouterr()
    assert dgmrun("compare", "a", "b") == 0
    shown = capsys.readouterr().out
    assert "reverse_ais@simulated" in shown
    assert "best first" not in shown


def test_some_examples_are_the_same_ones_for_every_run_and_method(dgmrun: Command) -> None:
    some = ("likelihood", "likelihood.examples=20", "likelihood.methods=[importance,elbo]", "dataset=digits")
    for run in ("a", "b"):
        assert dgmrun(*VAE, "train", *some, f"seed={ord(run)}", f"hydra.run.dir={run}") == 0
    places = [np.load(f"{run}/per_example/test-{name}.npz")["index"] for run in "ab" for name in ("importance", "elbo")]
    assert all(np.array_equal(each, places[0]) for each in places)
    assert len(set(places[0])) == 20
    assert places[0].max() > 100
    assert results("a")["likelihood"]["elbo"]["examples"] == 20


def test_a_net_and_a_posterior_of_its_own_score_the_same_model(dgmrun: Command) -> None:
    """The gain of the bound is the amortisation gap; taken up again, the figures are the same."""
    methods = ("likelihood", "likelihood.methods=[elbo]", "likelihood.elbo.num_samples=200")
    assert dgmrun(*VAE, *BINARY, "train", *methods, "hydra.run.dir=run") == 0
    net = results("run")["likelihood"]["elbo"]
    assert dgmrun("run=run", *methods, "likelihood.elbo.local_steps=200") == 0
    own = results("run")["likelihood"]["elbo"]
    assert own["value"] > net["value"] - 0.1  # both by 200 samples of each example
    assert (net["settings"]["local_steps"], own["settings"]["local_steps"]) == (None, 200)
    assert dgmrun("run=run", *methods, "likelihood.elbo.local_steps=null") == 0
    assert results("run")["likelihood"]["elbo"] | {"seconds": 0} == net | {"seconds": 0}


@pytest.mark.parametrize("posterior", [pytest.param("amortised", marks=pytest.mark.drawn), "local"])
def test_pictures_of_a_model_of_pictures(posterior: str, dgmrun: Command) -> None:
    command = (*VAE, f"model.posterior={posterior}", "dataset=digits", "train", "sample", "sample.count=9")
    assert dgmrun(*command, "trainer.max_steps=3", "trainer.validate_every_n_steps=100", "hydra.run.dir=run") == 0
    drawn = {file.stem for file in Path("run/figures").iterdir()}
    assert {"samples", "activity", "map", "reconstructions", "walks"} <= drawn
    assert np.load("run/samples.npz")["x"].shape == (9, 1, 8, 8)


def test_a_model_of_a_table_has_no_pictures_of_examples(dgmrun: Command) -> None:
    command = ("model=linear_vae", "model.latent=2", "trainer.max_steps=3", "train", "likelihood", "sample")
    assert dgmrun(*command, "hydra.run.dir=run") == 0
    drawn = {file.stem for file in Path("run/figures").iterdir()}
    assert {"activity", "map"} <= drawn
    assert not drawn & {"reconstructions", "walks"}
    found = results("run")["likelihood"]
    assert set(found) == {"importance", "closed_form"}
    assert found["closed_form"]["kind"] == "exact"
    assert found["importance"]["value"] < found["closed_form"]["value"] + 0.1
    assert Path("run/figures/likelihood.png").exists()


def test_figures_of_simulated_data_are_in_original_units(dgmrun: Command) -> None:
    """The same weights, taken to be of standardised data and of the data as they are, differ by the Jacobian."""
    command = ("model=linear_vae", "trainer.max_steps=1", "optimizer.lr=1e-9", "train", "likelihood")
    methods = "likelihood.methods=[closed_form,reverse_ais]"
    assert dgmrun(*command, methods, *SMALL, "dataset.transform=standardise", "hydra.run.dir=seen") == 0
    same = ("model=linear_vae", "weights=seen", "likelihood", methods, *SMALL, "hydra.run.dir=plain")
    assert dgmrun(*same, "dataset.transform=none") == 0
    plain, seen = (results(run)["likelihood"]["reverse_ais@simulated"]["value"] for run in ("plain", "seen"))
    log_jacobian = Setup(Run.open("seen").config).log_jacobian("test")  # the same for every example
    assert seen - plain == pytest.approx(float(log_jacobian[0]), abs=1e-4)


def test_a_convolutional_net_and_a_single_unit_are_read_back(dgmrun: Command) -> None:
    one = ("trainer.max_steps=2", "trainer.validate_every_n_steps=100", "likelihood.importance.num_samples=5")
    net = ("model=vae", "model.network=convolutional", "model.hidden=[2]", "dataset=digits")
    assert dgmrun(*net, *one, "train", "likelihood", "sample", "hydra.run.dir=net") == 0
    assert dgmrun("model=linear_vae", "model.latent=1", *one, "train", "likelihood", "hydra.run.dir=unit") == 0


def test_how_often_one_validates_changes_nothing_of_a_local_posterior(dgmrun: Command) -> None:
    command = ("model=linear_vae", "model.posterior=local", "optimizer=sgd", "optimizer.lr=1e-4", "trainer.max_steps=4")
    command = (*command, "dataset.sizes=[100,20,20]")
    for every in (1, 100):
        assert dgmrun(*command, f"trainer.validate_every_n_steps={every}", "train", f"hydra.run.dir={every}") == 0
    often, once = (Path(f"{every}/weights.safetensors").read_bytes() for every in (1, 100))
    assert often == once


def test_a_student_of_a_vae_learns_from_its_samples_alone(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert dgmrun(*VAE, *BINARY, "train", "hydra.run.dir=teacher") == 0
    student = ("model=nade", "model.hidden=3", "objective.teacher=teacher", "objective.stream.num_chains=100")
    assert dgmrun(*student, "objective=distill_kl", "trainer.max_steps=3", "train", "likelihood") == 0
    assert dgmrun(*student, "objective=distill_se", "train", "hydra.run.dir=refused") == 2
    assert "for a teacher without a density" in capsys.readouterr().err
    assert not Path("refused").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("likelihood.methods=[exact]", "`likelihood.methods` must be auto or among"),
        ("fidelity.methods=[parzen]", "must not have parzen for binary data"),
        ("likelihood.methods=[closed_form]", "`likelihood.methods` must be auto or among"),
        ("likelihood.importance.num_samples=0", "`likelihood.importance.num_samples` must be at least 1"),
        ("objective=mle", "`objective` must be one that fits the model vae: elbo, iwae"),
        ("objective=pcd", "`objective` must be one that fits the model vae: elbo, iwae"),
        ("dataset.transform=standardise", "`dataset.transform` must be none"),
        ("fidelity.parzen.bandwidths=[0.1,inf]", "`fidelity.parzen.bandwidths` must be a number that 32 bits hold"),
        ("likelihood.examples=1", "`likelihood.examples` must be a whole number and at least 2"),
    ],
)
def test_what_a_vae_cannot_have(words: str, message: str, dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert dgmrun(*VAE, *BINARY, "train", "likelihood", "fidelity", words, "hydra.run.dir=run") == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


def test_steps_of_a_posterior_that_cannot_be_fitted_are_refused(
    dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = "likelihood.importance.local_steps=5"
    assert dgmrun("model=sbn", "model.hidden=[2]", *BINARY, steps, "train", "likelihood") == 2
    assert "`likelihood.importance.local_steps` must be null for binary latent units" in capsys.readouterr().err
