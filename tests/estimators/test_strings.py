"""Shares of strings, against what is counted by hand and against laws whose shares are known."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dgmrun.estimators.fidelity.novelty import Novelty
from dgmrun.estimators.fidelity.uniqueness import Uniqueness
from dgmrun.estimators.fidelity.validity import Validity
from dgmrun.estimators.strings import spelled
from dgmrun.protocols.intervals import binomial_interval
from dgmrun.protocols.language import Language
from dgmrun.protocols.values import Batch, Event, Evidence
from tests.conftest import STRINGS

Command = Callable[..., int]
NOTHING = Batch(torch.zeros(0, 3), torch.arange(0))
LANGUAGE = Language(
    lambda tokens: "".join("?aAb"[token] for token in tokens),
    is_valid=lambda string: "b" not in string,
    canonical=str.lower,
)
"""Of a, A and b: b is in no valid string, and A means a."""


class Fixed:
    """A model that has these samples."""

    event = Event((3,), "tokens", 4)

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def sample(self, num: int, context: None = None) -> Tensor:
        assert num == len(self.x)
        return self.x


def evidence(train: Tensor, language: Language = LANGUAGE) -> Evidence:
    return Evidence(NOTHING, NOTHING, language=language, train=train)


SAMPLES = torch.tensor([[1, 0, 0], [2, 0, 0], [1, 1, 1], [1, 2, 0], [3, 0, 0], [0, 0, 0], [1, 1, 0], [2, 3, 1]])
"""a, A, aaa, aA, b, nothing, aa and Aba: six are valid, four of these different, and all but aa and a are new."""
TRAIN = torch.tensor([[2, 0, 0], [2, 2, 0], [3, 3, 0]])


def test_a_string_ends_at_its_end_or_with_its_last_place() -> None:
    assert spelled(LANGUAGE, SAMPLES) == ["a", "A", "aaa", "aA", "b", "", "aa", "Aba"]


def test_shares_are_those_of_moses() -> None:
    """And errors those of leaving one sample out after another."""
    model, given = Fixed(SAMPLES), evidence(TRAIN)
    hits, validity = Validity(num_samples=8)(model, given)
    assert hits.tolist() == [1, 1, 1, 1, 0, 1, 1, 0]
    assert (validity.value, validity.interval) == (6 / 8, binomial_interval(6, 8))
    times, uniqueness = Uniqueness(num_samples=8)(model, given)
    assert (times.tolist(), uniqueness.value) == ([2, 1, 2, 1], 4 / 6)
    is_new, novelty = Novelty(num_samples=8)(model, given)
    assert (is_new.tolist(), novelty.value) == ([0, 1, 0, 1], 2 / 4)
    valid = ["a", "a", "aaa", "aa", "", "aa"]
    for estimate, share in (
        (uniqueness, lambda kept: len({*kept}) / len(kept)),
        (novelty, lambda kept: len({*kept} - {"a", "aa"}) / len({*kept})),
    ):
        without = np.array([share(valid[:left] + valid[left + 1 :]) for left in range(6)])
        assert estimate.standard_error == pytest.approx(math.sqrt(5 * without.var()))
        assert (estimate.unit, estimate.kind, estimate.samples) == ("of 1", "estimate", 8)
        assert estimate.diagnostics["valid"] == 6


def test_every_string_is_valid_where_nothing_is_known_of_that() -> None:
    plain = evidence(TRAIN, Language(LANGUAGE.spell))
    assert Uniqueness(num_samples=8)(Fixed(SAMPLES), plain)[1].value == 1
    assert Novelty(num_samples=8)(Fixed(SAMPLES), plain)[1].value == 7 / 8


@pytest.mark.parametrize(("x", "valid"), [([[3, 0, 0]] * 4, 0), ([[3, 0, 0]] * 3 + [[1, 0, 0]], 1)])
def test_nothing_and_one_valid_sample_have_no_error(x: list[list[int]], valid: int) -> None:
    for method in (Uniqueness(num_samples=4), Novelty(num_samples=4)):
        _, estimate = method(Fixed(torch.tensor(x)), evidence(TRAIN[2:]))
        low, high = binomial_interval(1, 1) if valid else (0.0, 1.0)
        assert (estimate.value, estimate.standard_error, estimate.interval) == (valid, None, (low, high))
        assert len(estimate.warnings) == 1


def test_all_the_same_and_none_the_same_leave_an_interval() -> None:
    """In both the jackknife has an error of 0."""
    same, every = SAMPLES[:1].expand(27, -1), torch.cartesian_prod(*[torch.arange(1, 4)] * 3)
    plain = evidence(TRAIN, Language(str))
    for x, method, hits, num in (
        (same, Uniqueness, 1, 27),
        (every, Uniqueness, 27, 27),
        (every, Novelty, 27, 27),
    ):
        _, estimate = method(num_samples=27)(Fixed(x), plain)
        assert (estimate.value, estimate.standard_error) == (hits / num, pytest.approx(0))
        assert estimate.interval == pytest.approx(binomial_interval(hits, num))


NUM, TIMES, MOST = 100, 200, 5
"""Samples of a draw, draws, and most intervals that may miss: more have a chance of 2e-5 if 0.27 % do."""
LAWS = {
    "few alike": np.full(5, 1 / 5),
    "as many as samples": np.full(NUM, 1 / NUM),
    "many": np.full(50 * NUM, 1 / (50 * NUM)),
    "one frequent": np.array([0.3, *np.full(20 * NUM, 0.7 / (20 * NUM))]),
    "one of three": np.array([3 / NUM, *np.full(20 * NUM, (1 - 3 / NUM) / (20 * NUM))]),
    "geometric": np.array([*0.5 ** np.arange(1, 30), 0.5**29]),
}


@pytest.mark.parametrize("law", LAWS)
def test_intervals_cover_the_mean_share(law: str) -> None:
    """Strings are drawn by a law; of uniqueness the mean is known, of novelty it is that over all draws."""
    p, draw = LAWS[law], np.random.default_rng(1)
    train = torch.arange(0, len(p), 3)[:, None] + 1
    language = Language(lambda tokens: str(tokens[0]))
    found: dict[str, list[Any]] = {"uniqueness": [], "novelty": []}
    for _ in range(TIMES):
        x = torch.from_numpy(draw.choice(len(p), (NUM, 1), p=p) + 1)
        for method in (Uniqueness(num_samples=NUM), Novelty(num_samples=NUM)):
            found[method.quantity].append(method(Fixed(x), evidence(train, language))[1])
    truth = {
        "uniqueness": float((1 - (1 - p) ** NUM).sum()) / NUM,
        "novelty": float(np.mean([each.value for each in found["novelty"]])),
    }
    for quantity, estimates in found.items():
        missed = [not low <= truth[quantity] <= high for low, high in (each.interval for each in estimates)]
        assert sum(missed) <= MOST, quantity
        spread = float(np.std([each.value for each in estimates]))
        stated = np.mean([each.standard_error**2 for each in estimates]) ** 0.5
        assert stated >= spread * (1 - 4 / math.sqrt(2 * TIMES)) - 1e-9, "the jackknife is not too small in the mean"


@pytest.mark.parametrize("method", [Validity, Uniqueness, Novelty])
def test_no_samples_are_refused(method: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"`fidelity\.\w+\.num_samples` must be at least 1, but is 0"):
        method(num_samples=0)


def molecules(folder: Path) -> tuple[str, ...]:
    (folder / "a.smi").write_text("".join(f"{'C' * (each + 1)}{'O' * (each % 2)}\n" for each in range(20)))
    data = ("dataset=text", f"dataset.path={folder / 'a.smi'}", "dataset.tokens=smiles", "dataset.batch_size=8")
    return (*data, "trainer.max_steps=2", "fidelity.novelty.num_samples=20", "train", "fidelity", "hydra.run.dir=run")


def test_strings_are_judged_by_what_is_known_of_them(dgmrun: Command, tmp_path: Path) -> None:
    data = molecules(tmp_path)
    assert dgmrun(*STRINGS, *data) == 0
    found = json.loads((tmp_path / "run" / "results.json").read_text())["fidelity"]
    assert {"validity", "uniqueness", "novelty"} <= found.keys()
    assert (found["novelty"]["samples"], found["validity"]["samples"]) == (20, 1000)
    assert 0 < found["validity"]["value"] < 1, "some samples are empty"
    assert dgmrun(*STRINGS, *data, "dataset.tokens=characters", "hydra.run.dir=other") == 0
    assert "validity" not in json.loads((tmp_path / "other" / "results.json").read_text())["fidelity"]


def test_what_judges_is_asked_for_before_a_training(
    dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    assert dgmrun(*STRINGS, *molecules(tmp_path)) == 2
    assert "pip install 'dgmrun[molecules]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_only_strings_have_shares_of_strings(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert dgmrun("model=nade", "dataset=digits", "fidelity.methods=[novelty]", "train", "fidelity") == 2
    said = "`fidelity.methods` can have novelty only where strings of the data can be spelled"
    assert said in capsys.readouterr().err
