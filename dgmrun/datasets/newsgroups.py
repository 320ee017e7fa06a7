"""20 Newsgroups: posts to twenty newsgroups as counts of words, whose order is lost.

- `nvdm`: 1,995 words, in the file format of NVDM, as prepared by Burkhardt and Kramer 2019. A tenth of train is valid.
- `etm`: 3,072 words, as prepared by Dieng, Ruiz and Blei 2020, with the valid split of theirs: 100 documents.

Neither is the version of 2,000 words of which perplexities of Miao, Yu and Blunsom 2016 and before are published: those
of different words are not comparable. Documents without a word are left out. The checksums are of decompressed files.

In files of `nvdm`, a line is a number and then `id:count` of each word, 99 % of them not in the order of ids; ids count
from 1, and that of the first word never occurs. 22 documents of test are in train or valid, too; of `etm`, 11.

References:
    Lang (1995), NewsWeeder: learning to filter netnews; http://qwone.com/~jason/20Newsgroups.
    Miao, Yu and Blunsom (2016), Neural variational inference for text processing, https://arxiv.org/abs/1511.06038.
    Burkhardt and Kramer (2019), Decoupling sparsity and smoothness in the Dirichlet variational autoencoder topic
    model, JMLR 20.
    Dieng, Ruiz and Blei (2020), Topic modeling in embedding spaces, https://arxiv.org/abs/1907.04907.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmrun.data.files import read
from dgmrun.data.splits import Split, Splits, without_valid
from dgmrun.errors import Mistake, nearest
from dgmrun.protocols.sparse import csr, subset
from dgmrun.protocols.values import Event

Numbers = NDArray[np.int64]
Read = Callable[[str], bytes]


class Documents(NamedTuple):
    """Occurrences of words: the document, the word and the number of each, and the number of documents."""

    document: Numbers
    word: Numbers
    number: Numbers
    size: int


class Version(NamedTuple):
    """One preparation of the documents.

    Args:
        size: number of words.
        url: where its files are published.
        folder: folder of the files in `data_dir`.
        sha256: SHA-256 of each file, by the name it has there.
    """

    size: int
    url: str
    folder: str
    sha256: dict[str, str]


VERSIONS = {
    "nvdm": Version(
        1995,
        "https://raw.githubusercontent.com/sophieburkhardt/dirichlet-vae-topic-models/"
        "70091d4f1df37c7a7eb2995fbbffba36caed46aa/data/20news",
        "20news_nvdm",
        {
            "train.feat": "6c4b612d03bb54c68c923ae7b689398c4a7bd1046b0874332dfe0a0c42830143",
            "test.feat": "5e5beaff3c66affeb08aeefb69e40e3e1c52360cdad2df03e7df2ecb6b79fad0",
            "vocab.new": "75594f361e317a8c8fafca9846e903143ff25bb57ac4207ff850ef4245eb94bb",
        },
    ),
    "etm": Version(
        3072,
        "https://raw.githubusercontent.com/MIND-Lab/OCTIS/"
        "8f9a0ac5a12e3b72ecd77dcba4f181c77e4595f1/octis/models/ETM_model/data/20ng",
        "20news_etm",
        {
            "bow_tr_tokens.mat": "c69c0a33c7a81b7703963b39fea3d1b83bc024f6be6c5e8a8b2cb12d5b9ce8cc",
            "bow_tr_counts.mat": "6ecbfc30913821ebababed448c587d1322227f03f9a3db70fc1b9bbfc5fabdfb",
            "bow_va_tokens.mat": "268ff866d0332e76ea3d3b4a404b641ea67e22feeab4e4d6615f7e6e21ebbf26",
            "bow_va_counts.mat": "d3a3b4ca21a4ec5c22728131643d1f56148063665a38c9fc193cfc12089dfd22",
            "bow_ts_tokens.mat": "b33044ed16ec515f0e2935ac89421a044769f88f72c9934449b29b8534c6c34c",
            "bow_ts_counts.mat": "b877b6844b31f7239d1621a2da54e70a02301dd8d10717c76b025ed60d15f9cb",
            "vocab.txt": "ed4fb65fe79ef116084e4128d831312075beebbc58036184293b42d755015bd7",
        },
    ),
}


def event(version: str) -> Event:
    """Returns the event of this version: a count of each word.

    Raises:
        Mistake: there is no such version.
    """
    return Event((_version(version).size,), "counts")


def load(data_dir: Path, version: str) -> Splits:
    """Loads x [N, words], whole numbers in compressed sparse rows.

    Args:
        data_dir: folder of all datasets.
        version: `nvdm` or `etm`.

    Raises:
        Mistake: there is no such version, or its files are neither there nor can be downloaded.
    """
    its = _version(version)

    def content(name: str) -> bytes:
        return read(
            data_dir, (f"{its.folder}/{name}", f"{its.folder}/{name}.gz"), f"{its.url}/{name}", its.sha256[name]
        )

    splits, words = (_nvdm if version == "nvdm" else _etm)(content, its.size)
    return {name: Split(x, column=words.__getitem__, empty=empty) for name, (x, empty) in splits.items()}


def _version(version: str) -> Version:
    if version not in VERSIONS:
        near = nearest(str(version), VERSIONS)
        raise Mistake(f"`dataset.version` must be {' or '.join(VERSIONS)}, but is {version}{near}")
    return VERSIONS[version]


def _nvdm(content: Read, size: int) -> tuple[dict[str, tuple[Tensor, int]], list[str]]:
    learnt, empty = _rows(_lines(content("train.feat").decode()), size)
    train, valid = without_valid(torch.arange(len(learnt)))
    words = [line.split()[0] for line in content("vocab.new").decode().splitlines()]
    splits = {"train": (subset(learnt, train), empty), "valid": (subset(learnt, valid), 0)}
    return {**splits, "test": _rows(_lines(content("test.feat").decode()), size)}, words


def _lines(text: str) -> Documents:
    """Reads lines `1 id:count id:count ...`."""
    lengths = np.array([line.count(":") for line in text.splitlines()])
    numbers = np.fromstring(text.replace(":", " "), np.int64, sep=" ")
    word, count = np.delete(numbers, (2 * lengths + 1).cumsum() - 2 * lengths - 1).reshape(-1, 2).T
    return Documents(np.repeat(np.arange(len(lengths)), lengths), word - 1, count, len(lengths))


def _etm(content: Read, size: int) -> tuple[dict[str, tuple[Tensor, int]], list[str]]:
    splits = {
        split: _rows(_cells(*(content(f"bow_{name}_{part}.mat") for part in ("tokens", "counts"))), size)
        for split, name in (("train", "tr"), ("valid", "va"), ("test", "ts"))
    }
    return splits, content("vocab.txt").decode().split()


def _cells(words: bytes, counts: bytes) -> Documents:
    """Reads cell arrays of MATLAB: a cell of words and one of their counts for each document."""
    from scipy.io import loadmat

    word, count = (
        [cell.ravel() for cell in loadmat(BytesIO(part))[name].ravel()]
        for name, part in (("tokens", words), ("counts", counts))
    )
    document = np.repeat(np.arange(len(word)), [len(cell) for cell in word])
    return Documents(document, np.concatenate(word).astype(np.int64), np.concatenate(count).astype(np.int64), len(word))


def _rows(found: Documents, size: int) -> tuple[Tensor, int]:
    """Returns the counts in compressed sparse rows, [documents with a word, size], and the number of the others."""
    order = np.lexsort((found.word, found.document))
    lengths = np.bincount(found.document, minlength=found.size)
    kept = lengths[lengths > 0]
    start = np.concatenate(([0], kept.cumsum()))
    return csr(_whole(start), _whole(found.word[order]), _whole(found.number[order]), size), found.size - len(kept)


def _whole(x: NDArray[Any]) -> Tensor:
    return torch.from_numpy(x.astype(np.int32))
