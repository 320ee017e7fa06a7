"""The stage `optimise`: it finds better strings than it was given, and says which."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dgmrun.data import molecules
from dgmrun.datasets import equations
from dgmrun.errors import RunFailed
from dgmrun.nn.grammar import Grammar
from dgmrun.report.optimised import Found, Outcome
from dgmrun.rng import seeded
from dgmrun.stages.optimise.search import Space, search, space_of
from dgmrun.stages.optimise.surrogates import GaussianProcess, Linear

Command = Callable[..., int]
CONFIG = {"rounds": 4, "batch": 8, "candidates": 200}


def space(sign: int) -> Space:
    """Strings that name places of the plane, of which those beyond a line are not valid, and their distance to one."""

    def draw(z: np.ndarray) -> list[str]:
        return [f"{x:.2f} {y:.2f}" for x, y in z]

    def measure(string: str) -> float | None:
        x, y = map(float, string.split())
        return None if x > 2 else sign * ((x - 1.5) ** 2 + (y + 0.5) ** 2)

    return Space(draw, measure, sign, ["0.00 0.00"], {"0.00 0.00": sign * 2.5})


def found(surrogate: str, sign: int = 1) -> list[Found]:
    of = space(sign)
    with seeded(0, "test"):
        z = 0.3 * torch.randn(30, 2, dtype=torch.float64).numpy() - 1
        values = [float(of.measure(string) or 0) for string in of.draw(z)]
        return search(of, z, values, {**CONFIG, "surrogate": surrogate})


@pytest.mark.parametrize(("surrogate", "sign"), [("gaussian_process", 1), ("gaussian_process", -1), ("linear", 1)])
def test_it_finds_what_is_better_than_all_that_it_knows(surrogate: str, sign: int) -> None:
    every = found(surrogate, sign)
    assert len({each.string for each in every}) == len(every) == CONFIG["rounds"] * CONFIG["batch"]
    assert [each.round for each in every] == sorted(each.round for each in every)
    best = min(sign * each.value for each in every if each.value is not None)
    assert best < (0.05 if surrogate == "gaussian_process" else 2.5), "of 30 places near [-1, -1], 5 away from it"
    assert every == found(surrogate, sign)


@pytest.mark.parametrize("surrogate", [GaussianProcess, Linear])
def test_the_expected_improvement_is_that_of_its_samples(surrogate: type) -> None:
    """Within 4.5 standard errors of the mean of max(best - f, 0) over draws of what it predicts."""
    rng, fitted = np.random.default_rng(0), surrogate()
    z = rng.normal(size=(40, 2))
    fitted.fit(z, z[:, 0] + 0.3 * rng.normal(size=40))
    at = rng.normal(size=(5, 2))
    mean, deviation = fitted.regressor.predict(at, return_std=True)
    gain = np.maximum(-0.5 - (mean + deviation * rng.normal(size=(100_000, 5))), 0)
    error = gain.std(0) / np.sqrt(len(gain))
    assert (np.abs(fitted.improvement(at, -0.5) - gain.mean(0)) <= 4.5 * error).all()


def test_a_sure_gain_is_expected_whole() -> None:
    fitted = GaussianProcess()
    fitted.regressor = type("Sure", (), {"predict": lambda *_, **__: (np.array([0.0, 2.0]), np.zeros(2))})()
    assert fitted.improvement(np.zeros((2, 1)), 1.5).tolist() == pytest.approx([1.5, 0.0])


class Spelling:
    """Stands in for a model: its strings are two spellings of ethanol, and one of nothing."""

    def drawn(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[1, 1, 2], [2, 1, 1], [2, 2, 3]])[: len(z)]

    def parameters(self) -> Iterator[torch.Tensor]:
        return iter([torch.zeros(1)])


def test_molecules_are_known_by_what_they_are() -> None:
    """However they are spelled, and training strings that are none have no property."""
    language = molecules.language(["", "C", "O", "["])
    of = space_of(Spelling(), language, "qed", torch.tensor([[1, 1, 2], [2, 3, 0]]))
    assert of.training == ["CCO", "O["]
    assert of.known == {"CCO": pytest.approx(0.4068, abs=1e-4)}
    assert of.draw(np.zeros((3, 1))) == ["CCO", "CCO", "OO["]
    with pytest.raises(RunFailed, match="none has qed"):
        space_of(Spelling(), language, "qed", torch.tensor([[2, 3, 0]]))


def test_what_differs_by_rounding_is_not_better() -> None:
    outcome = Outcome("error", True, [Found("a", 1.0 - 1e-15, 1), Found("b", 0.9, 1)], {"t": 1.0})
    assert outcome.better(1.0) == 1


def test_what_was_found_is_told_beside_the_best_of_training() -> None:
    known = {f"t{place}": float(place) for place in range(20)}
    outcome = Outcome("error", True, [Found("a", 1.5, 1), Found("b", None, 1), Found("c", -1.0, 2)], known)
    assert outcome.best == [("c", -1.0), ("a", 1.5)]
    assert outcome.numbers() == {
        "training_best": 0.0,
        "training_best_tenth": 1.0,
        "valid": 2,
        "better_than_training": 1,
        "better_than_best_tenth": 1,
    }
    table, first, second = outcome.lines()
    assert re.search(r"c +-1.0000 +t0 +0.0000\s*\na +1.5000 +t1 +1.0000", table)
    assert "3 new strings measured, 2 valid; 1 of them is better than all 20 training strings" in first
    assert "1 are better than 1.0000" in second
    assert Outcome("error", False, outcome.found, known).best[0] == ("a", 1.5)
    assert "none of them is better" in Outcome("error", False, outcome.found, known).lines()[1]


def test_a_run_is_searched_and_again_with_the_same_outcome(
    dgmrun: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    signs = [f"{a} {sign} {b} + sin( {c} * x )" for a in "x12" for sign in "+*/" for b in "x123" for c in "x123"]
    monkeypatch.setattr(equations, "read", lambda *_: "\n".join(signs).encode())
    small = ("model.latent=2", "model.hidden=8", "model.embedding=4", "model.feedback=false")
    short = ("trainer.max_steps=20", "optimizer.lr=0.02")
    asked = ("optimise.rounds=2", "optimise.batch=5", "optimise.candidates=100", "optimise.examples=40")
    run = tmp_path / "run"
    assert dgmrun("model=grammar_vae", *small, *short, *asked, "train", "optimise", f"hydra.run.dir={run}") == 0
    assert "new strings measured" in capfd.readouterr().err
    first = json.loads((run / "results.json").read_text())["optimise"]["error"]
    with (run / "figures" / "optimised.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert min(float(row["error"]) for row in rows) == pytest.approx(first["value"])
    assert (first["split"], first["samples"], first["diagnostics"]["valid"]) == ("train", len(rows), len(rows))
    assert equations.error(first["settings"]["string"]) == first["value"]
    node = yaml.safe_load((run / "config.yaml").read_text())["dataset"]
    train = equations.load(tmp_path, node["grammar"], node["split"], node["least_error"])["train"].x.tolist()
    tokens = Grammar(node["grammar"]).tokenise
    assert not [row for row in rows if [*tokens(row["string"]), *[0] * 14][:14] in train]
    assert dgmrun("optimise", f"run={run}", *asked, "optimise.property=error") == 0
    again = json.loads((run / "results.json").read_text())["optimise"]["error"]
    assert again["value"] == first["value"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=rbm"], "`optimise` must have strings with a property to measure, but `dataset` is digits"),
        (
            ["model=rnn", "dataset=equations"],
            "`optimise` must have a model of strings with a latent space, but `model`",
        ),
        (["model=string_vae", "optimise.surrogate=forest"], "`optimise.surrogate` must be gaussian_process or linear"),
        (
            ["model=string_vae", "optimise.examples=6000"],
            "`optimise.examples` must be at most 5000 for a Gaussian process",
        ),
        (
            ["dataset.least_error=1000", "model=string_vae"],
            "`dataset` must have examples in every split, but train has",
        ),
        (["model=string_vae", "optimise.property=mass"], "`optimise.property` must be null or error, but is mass"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_line(
    words: list[str], message: str, dgmrun: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(equations, "read", lambda *_: b"x + 1\nx + 2\nx + 3\nx + x\n2 + x * x\n")
    assert dgmrun(*words, "train", "optimise") == 2
    assert message in capfd.readouterr().err
