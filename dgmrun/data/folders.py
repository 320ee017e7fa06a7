"""Files of a user's folder, by split: as its subfolders name them, or else at random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import SPLITS, places, split_named, without_valid
from dgmrun.errors import Mistake


def parts(folder: Path, files: Sequence[Path], what: str, cure: str | None = None) -> tuple[dict[str, list[Path]], str]:
    """Returns the files of train, valid and test, and how they were split.

    Args:
        folder: the folder.
        files: files in it and in its subfolders, in a fixed order.
        what: what they are, e.g. "pictures".
        cure: what to do about too few.

    Raises:
        Mistake: there are fewer than 3, one split has folders of two names, or some splits have files and others none.
    """
    found, how = _named(folder, files, what)
    if not found:
        if len(files) < len(SPLITS):
            raise Mistake(f"`dataset.path` must be a folder of at least 3 {what}, but {folder} has {len(files)}", cure)
        rows = zip(SPLITS, places(len(files)), strict=True)
        found = {split: [files[row] for row in which.tolist()] for split, which in rows}
    if unused := len(files) - sum(map(len, found.values())):
        how += f"; {unused} {what} outside of them left out"
    return {split: found[split] for split in SPLITS}, how


def _named(folder: Path, files: Sequence[Path], what: str) -> tuple[dict[str, list[Path]], str]:
    """Returns the files by split, as their folders at any depth name it, and how they were split.

    Raises:
        Mistake: one split has folders of two names, or some splits have files and others none.
    """
    names: dict[str, set[str]] = {split: set() for split in SPLITS}
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for file in files:
        named = [(split, name) for name in file.relative_to(folder).parts[:-1] if (split := split_named(name))]
        for split, name in named[:1]:
            names[split].add(name)
            found[split].append(file)
    several = next((sorted(each) for each in names.values() if len(each) > 1), None)
    if several:
        split = split_named(several[0])
        raise Mistake(f"`dataset.path` must have one folder for {split}, but {folder} has {' and '.join(several)}")
    lacking = [split for split, own in found.items() if not own]
    if lacking == ["valid"] and len(found["train"]) > 1:
        rows = without_valid(torch.arange(len(found["train"])))
        train, valid = ([found["train"][row] for row in which.tolist()] for which in rows)
        return {**found, "train": train, "valid": valid}, "split by its folders, valid cut from that of train"
    if 0 < len(lacking) < len(SPLITS):
        must = f"`dataset.path` must have {what} in {', '.join(SPLITS)}"
        hint = "valid alone may be lacking: it is cut from train. Other names than of splits are no splits"
        raise Mistake(f"{must}, but {folder} has none in {' and '.join(lacking)}", hint)
    return ({}, "split at random, the same for every run") if lacking else (found, "split by its folders")
