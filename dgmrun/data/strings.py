"""Strings of tokens as tensors: tokens are numbered from 1, and 0 is the end of a string and fills the places after."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dgmrun.data.splits import Split, Splits
from dgmrun.errors import printable
from dgmrun.protocols.text import counted

log = logging.getLogger("dgmrun")
MOST = 12
"""Most tokens that are named."""


def padded(strings: Sequence[Sequence[int]], length: int) -> Tensor:
    """Returns numbers of tokens, the places after the last of each string filled by 0, int64 [strings, length]."""
    x = np.zeros((len(strings), length), np.int64)
    lengths = np.array([len(string) for string in strings])
    x[np.arange(length) < lengths[:, None]] = [number for string in strings for number in string]
    return torch.from_numpy(x)


def numbered(name: str, strings: Mapping[str, Sequence[Sequence[str]]], tokens: Sequence[str], length: int) -> Splits:
    """Returns strings by split as numbers, and logs what valid and test have that train lacks.

    Args:
        name: what the data are called in that line.
        strings: tokens of each string, by split.
        tokens: every token that there is, in the order of their numbers, from 1.
        length: number of places of a string.
    """
    words, numbers = ("", *tokens), {token: number for number, token in enumerate(tokens, 1)}
    splits = {
        split: Split(padded([[numbers[token] for token in string] for string in its], length), words=words)
        for split, its in strings.items()
    }
    known = splits["train"].x.flatten().bincount(minlength=len(words)) > 0
    known[0] = True
    for split in ("valid", "test"):
        new = ~known[splits[split].x]
        if new.any():
            found = [words[number] for number in splits[split].x[new].unique().tolist()]
            named = printable(" ".join(found[:MOST])) + " ..." * (len(found) > MOST)
            where = f"{counted(int(new.any(1).sum()), 'string')} of {split}"
            log.info("data        %s: %s in %s that train lacks: %s", name, counted(len(found), "token"), where, named)
    return splits
