"""OMNIGLOT, characters of 50 alphabets, downscaled to 28 x 28 grey levels by area averaging.

Lake, Salakhutdinov and Tenenbaum 2015, Human-level concept learning through probabilistic program induction
(https://github.com/brendenlake/omniglot). The original drawings have 105 x 105 binary pixels. These are not the images
for which Burda, Grosse and Salakhutdinov published likelihoods: those are `omniglot_burda`.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dgmrun.data.files import read
from dgmrun.data.splits import Split, Splits

URL = "https://raw.githubusercontent.com/bitsandscraps/omniglot/b0481240b7eb42393285a93ce7d2f266ff10c62b"
SHA256 = {
    "images_background.npz": "8bf84167413cd00beacdce3fe582f780ab538d8dbef043a6d688f2527bbce199",
    "images_evaluation.npz": "0b84c7ffd94c4841c0040e529c86a82eaaccb986d8eadad5673f7991b7475276",
}
SIDE, DRAWERS, HELD_OUT = 28, 20, 2
"""Pixels of each side; people who drew each character; how many of those people are in valid."""


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 28, 28], 1 is ink, and the character y, 0 to 963 in train and valid, 964 to 1622 in test.

    Train and valid are the 964 characters of the background set, drawn by the first 18 and by the last 2 of 20 people;
    test is the 659 characters of the evaluation set, of other alphabets.
    """
    background, evaluation = (_drawings(data_dir, name) for name in SHA256)
    y = torch.arange(len(background) + len(evaluation))[:, None].expand(-1, DRAWERS)
    learnt, unseen = y.split([len(background), len(evaluation)])
    return {
        "train": _split(background[:, :-HELD_OUT], learnt[:, :-HELD_OUT]),
        "valid": _split(background[:, -HELD_OUT:], learnt[:, -HELD_OUT:]),
        "test": _split(evaluation, unseen),
    }


def area_averages(ink: Tensor, side: int) -> Tensor:
    """Downscales square images [..., S, S], float64, to [..., side, side] by the mean over the area of each pixel."""
    width = ink.shape[-1] / side
    edges = width * torch.arange(side + 1, dtype=torch.float64)[:, None]
    covered = (edges - torch.arange(ink.shape[-1])).clamp(0, 1)
    weights = (covered[1:] - covered[:-1]) / width
    return ((ink @ weights.T).mT @ weights.T).mT


def _drawings(data_dir: Path, name: str) -> Tensor:
    """Reads the mean ink [characters, people, 28, 28]; in the file True is paper."""
    content = read(data_dir, (f"omniglot/{name}", name), f"{URL}/{name}", SHA256[name])
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        images = torch.tensor(arrays["images"])
    return torch.stack([area_averages(1 - character.double(), SIDE).float() for character in images])


def _split(x: Tensor, y: Tensor) -> Split:
    """Flattens drawings and their characters, [characters, people, ...], into a split."""
    return Split(x.reshape(-1, 1, SIDE, SIDE), y.flatten())
