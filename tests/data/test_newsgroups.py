"""20 Newsgroups, and counts that stay sparse: facts of the files, and the same batches as of dense ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from torch import Tensor

from dgmrun.data.doubts import doubts
from dgmrun.data.prepare import prepare
from dgmrun.data.source import InMemorySource
from dgmrun.data.splits import Split, Splits, sha256
from dgmrun.datasets import newsgroups
from dgmrun.errors import Mistake
from dgmrun.protocols.sparse import csr, gathered, is_sparse, subset, sums
from dgmrun.protocols.values import Batch, Event
from dgmrun.protocols.words import unigram
from dgmrun.workbench import build

Load = Callable[[str], Splits]


@pytest.fixture(scope="module")
def load(data_dir: Path) -> Load:
    """Each version, read once."""
    return cache(lambda version: newsgroups.load(data_dir, version))


def sparse(dense: Tensor) -> Tensor:
    """The same in compressed sparse rows."""
    kept = dense > 0
    start = torch.cat((torch.zeros(1, dtype=torch.int32), kept.sum(1).cumsum(0).int()))
    return csr(start, kept.nonzero()[:, 1].int(), dense[kept].int(), dense.shape[1])


def counts(rows: int = 40, words: int = 30) -> Tensor:
    """Of a few words, some documents without any."""
    return torch.randint(1, 9, (rows, words)) * (torch.rand(rows, words) < 0.1)


def whole(**changes: object) -> dict[str, object]:
    """What data of counts are prepared by."""
    return {"labels": None, "binarisation": "none", "transform": "none", "pixel_order": None, **changes}


@pytest.mark.parametrize(
    ("version", "words", "number", "tokens", "empty"),
    [
        ("nvdm", 1995, (10_133, 1_125, 7_487), (991_493, 629_312), (1, 0, 1)),
        ("etm", 3072, (11_214, 100, 7_531), (928_184, 594_276), (0, 0, 0)),
    ],
)
def test_documents_and_words_are_as_many_as_published(
    version: str, words: int, number: tuple[int, ...], tokens: tuple[int, int], empty: tuple[int, ...], load: Load
) -> None:
    splits = load(version)
    assert newsgroups.event(version) == Event((words,), "counts")
    assert tuple(len(split.x) for split in splits.values()) == number
    assert tuple(split.empty for split in splits.values()) == empty
    learnt, valid, test = (int(split.x.values().sum()) for split in splits.values())
    assert (learnt + valid, test) == tokens
    assert all(is_sparse(split.x) and split.x.shape[1] == words for split in splits.values())
    assert all(int(sums(split.x)[0].min()) > 0 for split in splits.values())
    stored = sum(part.numel() * 4 for part in (splits["test"].x.col_indices(), splits["test"].x.values()))
    assert stored < 0.06 * 4 * splits["test"].x.numel()


def test_the_unigram_has_the_perplexity_measured_elsewhere(load: Load) -> None:
    train, valid, test = (split.x for split in load("nvdm").values())
    event = newsgroups.event("nvdm")
    both = sums(train)[1] + sums(valid)[1]
    log_p = unigram(event, test, event.log_frequencies(both.unsqueeze(0)))
    sizes = event.size_of(test)
    assert float((-(log_p / sizes).mean()).exp()) == pytest.approx(1102.10, abs=5e-3)
    assert float((-log_p.sum() / sizes.sum()).exp()) == pytest.approx(1161.27, abs=5e-3)


def test_words_are_those_of_the_vocabulary(load: Load) -> None:
    """The first of one version never occurs; of the other all do."""
    for version, first, most, absent in (("nvdm", "_eos_", "write", 1), ("etm", "ii", "writes", 0)):
        train, valid, test = load(version).values()
        often = sum(sums(split.x)[1] for split in (train, valid, test))
        assert train.column(0) == first
        assert train.column(int(often.argmax())) == most  # type: ignore[union-attr]
        assert int((often == 0).sum()) == absent  # type: ignore[union-attr]
        assert absent == int(often[0] == 0)  # type: ignore[index]


@pytest.mark.parametrize(("version", "number"), [("nvdm", 22), ("etm", 11)])
def test_some_documents_of_test_stand_in_train_too(version: str, number: int, load: Load) -> None:
    splits = load(version)
    found = doubts(splits, newsgroups.event(version), back=None, is_density=False)  # type: ignore[arg-type]
    shared = [int(doubt.split()[0]) for doubt in found if "test examples are in" in doubt]
    assert sum(shared) == number
    assert ("1 empty train example left out" in found) == (version == "nvdm")


def test_lines_of_one_version_are_not_in_the_order_of_ids(data_dir: Path) -> None:
    """99 % of them; the reader puts them in order."""
    lines = gzip.decompress((data_dir / "20news_nvdm" / "train.feat.gz").read_bytes()).decode().splitlines()
    ids = [[int(pair.split(":")[0]) for pair in line.split()[1:]] for line in lines]
    assert np.mean([each != sorted(each) for each in ids]) == pytest.approx(0.99, abs=0.005)
    assert min(map(min, filter(None, ids))) == 2


def test_halves_of_a_document_share_words(data_dir: Path) -> None:
    """In 7,047 of 7,531: document completion by these halves is no prediction of unseen words."""
    first, second = (
        [set(cell.ravel()) for cell in loadmat(data_dir / "20news_etm" / f"bow_ts_{half}_tokens.mat")["tokens"].ravel()]
        for half in ("h1", "h2")
    )
    assert (len(first), sum(bool(one & other) for one, other in zip(first, second, strict=True))) == (7531, 7047)


def test_another_version_is_refused() -> None:
    with pytest.raises(Mistake, match=r"`dataset\.version` must be nvdm or etm, but is nvmd \(did you mean `nvdm`\?\)"):
        newsgroups.event("nvmd")


def test_rows_of_sparse_counts_are_those_of_dense_ones() -> None:
    dense = counts()
    x = sparse(dense)
    for which in (slice(3, 17), torch.tensor([5, 1, 1, 39]), torch.tensor([], dtype=torch.int64), slice(None)):
        assert torch.equal(gathered(x, which), dense[which].int())
        assert torch.equal(subset(x, which).to_dense(), dense[which].int())
    assert torch.equal(sums(x)[0], dense.sum(1).double())
    assert torch.equal(sums(x)[1], dense.sum(0).double())
    assert sha256(x) != sha256(sparse(dense.flip(1)))
    batch = Batch(x, torch.arange(len(x)))
    assert torch.equal(torch.cat([block.x for block in batch.blocks(7)]), dense.int())


def test_batches_of_sparse_counts_are_those_of_dense_ones() -> None:
    dense = counts().float()
    one, other = (InMemorySource(x, None, batch_size=7, seed=0) for x in (dense, sparse(dense)))
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.index, b.index)


def test_memory_follows_the_words_that_occur() -> None:
    """Twenty thousand documents of a million words would be 80 GB."""
    size, rows = 10**6, 20_000
    start, word = torch.arange(rows + 1, dtype=torch.int32), torch.arange(rows, dtype=torch.int32)
    splits = {
        name: Split(csr(start, word, word % 3 + add, size)) for add, name in enumerate(("train", "valid", "test"), 1)
    }
    ready = prepare(splits, event=Event((size,), "counts"), **whole())  # type: ignore[arg-type]
    batch = next(iter(InMemorySource(ready.splits["train"].x, None, 4, seed=0)))
    assert batch.x.shape == (4, size)
    assert torch.equal(batch.x.sum(1), (batch.index % 3 + 1).float())


def test_noise_makes_counts_dense() -> None:
    dense = counts(60) + 1
    splits = {name: Split(sparse(part)) for name, part in zip(("train", "valid", "test"), dense.split(20), strict=True)}
    ready = prepare(splits, event=Event((30,), "counts"), **whole(transform="jitter"))  # type: ignore[arg-type]
    assert not is_sparse(ready.splits["train"].x)
    assert torch.equal(ready.original("train"), dense[:20].int())


def test_negative_counts_are_refused() -> None:
    x = csr(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([-1]), 3)
    with pytest.raises(Mistake, match=r"`dataset\.event` must hold every value of the train split, such as -1"):
        prepare({"train": Split(x)}, event=Event((3,), "counts"), **whole())  # type: ignore[arg-type]


def test_the_event_follows_the_version() -> None:
    node = {"_target_": "dgmrun.datasets.newsgroups.load", "name": "newsgroups", "version": "etm", "event": None}
    others = {"labels": None, "pixel_order": None, "binarisation": "none", "transform": "none", "batch_size": 100}
    found = build.completed({"dataset": {**node, **others}})["dataset"]["event"]
    assert found == {"shape": [3072], "kind": "counts"}
