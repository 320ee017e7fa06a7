"""What all comparisons run on: binarised MNIST where it is at hand, else random bits of the same size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgmrun.paths import data_dir

SIZES = {"train": 50_000, "valid": 10_000, "test": 10_000}


def overrides(folder: Path) -> list[str]:
    """The overrides that select the data; random ones are written to `folder`."""
    if (data_dir(None) / "binarized_mnist").is_dir():
        return ["dataset=binarized_mnist"]
    return random(folder, SIZES)


def random(folder: Path, sizes: dict[str, int]) -> list[str]:
    """The overrides that select random bits, written to `folder`, with so many examples of each split."""
    x = np.random.default_rng(0).integers(2, size=(sum(sizes.values()), 1, 28, 28), dtype=np.uint8)
    np.savez(folder / "random.npz", x=x, split=np.repeat(list(sizes), list(sizes.values())))
    return ["dataset=file", f"dataset.path={folder / 'random.npz'}"]
