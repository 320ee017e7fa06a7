"""Stanford Sentiment Treebank: sentences of film reviews as words, and how positive they are, in five classes.

Socher, Perelygin, Wu, Chuang, Manning, Ng and Potts 2013, Recursive deep models for semantic compositionality over a
sentiment treebank (https://nlp.stanford.edu/sentiment), in the published splits, as trees in the format of the Penn
Treebank. Words are in lower case. Those of the training sentences are numbered from 2, the most frequent first; 1 is
any other word, and 0 the end and padding. How many words of valid and test are unknown is logged.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from dgmrun.data.files import read
from dgmrun.data.splits import Split, Splits
from dgmrun.data.strings import padded

log = logging.getLogger("dgmrun")
URL = "https://raw.githubusercontent.com/vitutorial/exercises/429807d6349c0d91d601b21338d80a6fe4450892/SST/data/sst"
FILES = {
    "train": ("train.txt", "e2f3f41b0b1e6d4dddc0effe3bfc2d27ed8928079aa9a03d652311614fc5feb7"),
    "valid": ("dev.txt", "0e9336aed6e4730e19f58d00a77b3f0297efdb755f7b5e598c98a05e3f97ea40"),
    "test": ("test.txt", "6e54806dee95cf80cd918e7dfb3f6770f6df24bf826f289a4d1f709e1c8f6761"),
}
"""File of each split, and its SHA-256."""
LONGEST = 56
"""Number of words of the longest sentence."""
UNKNOWN = 1
"""Number of a word that no training sentence has."""
WORD, NODE = re.compile(r" ([^ ()]+)\)"), re.compile(r"\((\d) |([^ ()]+)|\)")


class Phrase(NamedTuple):
    """Words with their class."""

    label: int
    words: tuple[str, ...]


def load(data_dir: Path, phrases: bool) -> Splits:
    """Loads x [N, 56], words by number, and y [N], from 0, very negative, to 4, very positive.

    Args:
        data_dir: folder of all datasets.
        phrases: whether the training split also has each distinct phrase of its sentences, a node of a tree with a
            label of its own: 148,867 further examples, of 7 words in the mean.
    """
    trees = {split: _read(data_dir, *file).splitlines() for split, file in FILES.items()}
    every = {split: [sentence(tree) for tree in each] for split, each in trees.items()}
    often = Counter(word for each in every["train"] for word in each.words)
    vocabulary = ["", "<unknown>", *sorted(often, key=lambda word: (-often[word], word))]
    if phrases:
        known = {*every["train"]}
        nodes = dict.fromkeys(node for tree in trees["train"] for node in subtrees(tree))
        every["train"] += [node for node in nodes if node not in known]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    splits = {split: _split(each, numbers, vocabulary) for split, each in every.items()}
    said = "; ".join(f"{_unknown(splits[split])} of {split}" for split in ("valid", "test"))
    log.info("data        sst: %d words in %d training sentences; unknown %s", len(often), len(trees["train"]), said)
    return splits


def classes(phrases: bool) -> list[str]:
    """Returns the word of each class."""
    return ["very negative", "negative", "neutral", "positive", "very positive"]


def _read(data_dir: Path, name: str, sha256: str) -> str:
    """Returns trees, one a line, in lower case, and with slashes, and square brackets for those of the treebank."""
    text = read(data_dir, (f"sst/trees/{name}", f"sst/{name}"), f"{URL}/{name}", sha256).decode().lower()
    return text.replace("\\", "").replace("-lrb-", "[").replace("-rrb-", "]")


def sentence(tree: str) -> Phrase:
    """Returns the whole of a tree, such as `(3 (2 a) (4 (3 good) (2 film)))`."""
    return Phrase(int(tree[1]), tuple(WORD.findall(tree)))


def subtrees(tree: str) -> list[Phrase]:
    """Returns every node of a tree, single words included; the whole of it is the last."""
    words: list[str] = []
    begun: list[tuple[int, int]] = []
    found = []
    for label, word in NODE.findall(tree):
        if label:
            begun.append((int(label), len(words)))
        elif word:
            words.append(word)
        else:
            its, start = begun.pop()
            found.append(Phrase(its, tuple(words[start:])))
    return found


def _split(phrases: Sequence[Phrase], numbers: Mapping[str, int], vocabulary: Sequence[str]) -> Split:
    x = padded([[numbers.get(word, UNKNOWN) for word in each.words] for each in phrases], LONGEST)
    return Split(x, torch.tensor([phrase.label for phrase in phrases]), words=vocabulary)


def _unknown(split: Split) -> str:
    unknown, all_words = int((split.x == UNKNOWN).sum()), int((split.x > 0).sum())
    return f"{unknown} of the {all_words} words ({unknown / all_words:.1%})"
