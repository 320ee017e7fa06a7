"""The Stanford Sentiment Treebank: trees taken apart by hand, and what is published of the whole."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dgmrun.datasets import sst
from dgmrun.datasets.sst import Phrase, sentence, subtrees
from tests.conftest import STRINGS

Command = Callable[..., int]
TREE = "(3 (2 a) (4 (3 good) (2 film)))"
TREES = {"train": f"{TREE}\n(1 (2 a) (1 (1 bad) (2 film)))\n", "dev": "(3 (3 good) (2 plot))\n", "test": "(1 bad)\n"}


def small(data_dir: Path, name: str, sha256: str) -> str:
    """In place of the published trees."""
    return TREES[name.removesuffix(".txt")]


def test_a_tree_has_its_sentence_and_every_phrase() -> None:
    assert sentence(TREE) == Phrase(3, ("a", "good", "film"))
    assert subtrees(TREE) == [
        Phrase(2, ("a",)),
        Phrase(3, ("good",)),
        Phrase(2, ("film",)),
        Phrase(4, ("good", "film")),
        Phrase(3, ("a", "good", "film")),
    ]


@pytest.mark.parametrize("phrases", [False, True])
def test_words_are_numbered_by_training_sentences_and_phrases_follow_them(
    phrases: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sst, "_read", small)
    with caplog.at_level(logging.INFO, "dgmrun"):
        train, valid, test = sst.load(Path(), phrases).values()
    assert list(train.words) == ["", "<unknown>", "a", "film", "bad", "good"]
    assert train.x[:2, :4].tolist() == [[2, 5, 3, 0], [2, 4, 3, 0]]
    further = [[2, 0], [5, 0], [3, 0], [5, 3], [4, 0], [4, 3]] if phrases else []
    assert train.x[2:, :2].tolist() == further
    assert train.y.tolist() == [3, 1, *[2, 3, 2, 4, 1, 1][: len(further)]]
    assert valid.x[0, :3].tolist() == [5, sst.UNKNOWN, 0]
    assert (test.x[0, 0], test.y.tolist()) == (4, [1])
    assert "4 words in 2 training sentences; unknown 1 of the 2 words (50.0%) of valid; 0 of the 1" in caplog.text


def test_the_treebank_is_as_published(data_dir: Path) -> None:
    """Sizes and labels of the splits; its vocabulary, and the longest sentence."""
    splits = sst.load(data_dir, False)
    assert [split.y.bincount().tolist() for split in splits.values()] == [
        [1092, 2218, 1624, 2322, 1288],
        [139, 289, 229, 279, 165],
        [279, 633, 389, 510, 399],
    ]
    words = splits["train"].words
    assert len(words) == len({*words}) == 16583 == int(splits["train"].x.max()) + 1
    assert [int((split.x == sst.UNKNOWN).sum()) for split in splits.values()] == [0, 1071, 2225]
    assert max(int((split.x > 0).sum(1).max()) for split in splits.values()) == sst.LONGEST
    first = " ".join(words[number] for number in splits["test"].x[1] if number)
    assert first == "if you sometimes like to go to the movies to have fun , wasabi is a good place to start ."
    often = splits["train"].x.flatten().bincount()[2:]
    assert torch.equal(often, often.sort(descending=True).values)


def test_words_reach_pictures_and_figures_their_examples(
    dgmrun: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(TREES, "dev", TREES["dev"] + "(2 film)\n")
    monkeypatch.setitem(TREES, "test", "(1 bad)\n(0 (1 bad) (2 beyond))\n")
    monkeypatch.setattr(sst, "_read", small)
    words = (
        "dataset.event.size=6",
        "dataset.batch_size=2",
        "trainer.max_steps=2",
        "likelihood.importance.num_samples=5",
    )
    assert dgmrun("model=rationale", *words, "train", "likelihood", "fidelity", "sample", "hydra.run.dir=run") == 0
    with (tmp_path / "run" / "figures" / "rationales.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["word"] for row in rows] == ["bad", "bad", "<unknown>"]
    assert [row["title"].partition("label ")[2] for row in rows] == ["negative", "very negative", "very negative"]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["fidelity"].keys() == {"accuracy", "words_kept"}
    kept = results["fidelity"]["words_kept"]
    assert (kept["split"], kept["examples"], kept["given"], kept["unit"]) == ("test", 2, "x", "of 1")
    assert kept["value"] == pytest.approx(sum(float(row["kept"]) for row in rows) / 3)


def test_sentences_that_a_model_samples_are_of_its_words(
    dgmrun: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sst, "_read", small)
    words = ("dataset=sst", "dataset.event.size=6", "dataset.batch_size=2", "trainer.max_steps=1")
    assert dgmrun(*STRINGS, *words, "train", "sample", "fidelity", "hydra.run.dir=run") == 0
    lines = (tmp_path / "run" / "samples.txt").read_text().splitlines()
    assert {word for line in lines for word in line.split(" ")} == {"", "<unknown>", "a", "film", "bad", "good"}
    assert json.loads((tmp_path / "run" / "results.json").read_text())["fidelity"].keys() >= {"uniqueness", "novelty"}
