"""What lies between a loader and a run: the checks, the binarisation and the pixel order."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dgmrun.data.binarise import bernoulli, binarised, threshold
from dgmrun.data.check import check
from dgmrun.data.splits import Splits
from dgmrun.errors import Mistake
from dgmrun.protocols import Event
from dgmrun.rng import seeded


def prepare(
    splits: Splits, *, event: Event, context: Event | None, binarisation: str, pixel_order: str | None
) -> Splits:
    """Checked splits, ready for use.

    Under `dynamic` the training split keeps its grey levels, for its source to binarise batch by batch; valid
    and test are binarised once, with the same draws for every run.

    Args:
        splits: as a loader gives them, on the CPU.
        event: what the file holds, `dataset.event`; the model sees `binarised(event, binarisation)`.
        context: what the labels are, `dataset.context`.
        binarisation: `fixed`, `threshold`, `dynamic` or `none`.
        pixel_order: `row`, `column` (pictures are transposed, as MATLAB stores them) or None.
    """
    binarised(event, binarisation)
    check(splits, event, context)
    return {
        name: replace(split, x=_ordered(_binarised_once(split.x, binarisation, name), pixel_order))
        for name, split in splits.items()
    }


def _binarised_once(x: Tensor, binarisation: str, split: str) -> Tensor:
    if binarisation == "threshold":
        return threshold(x).to(torch.uint8)
    return drawn_once(x, split) if binarisation == "dynamic" and split != "train" else x


def drawn_once(x: Tensor, split: str) -> Tensor:
    """Grey levels binarised with the same draws for every run: how a split is scored under `dynamic`."""
    with seeded(0, "binarise", split):
        return bernoulli(x).to(torch.uint8)


def _ordered(x: Tensor, pixel_order: str | None) -> Tensor:
    """Upright pictures, or transposed ones for `column`."""
    if pixel_order not in (None, "row", "column"):
        raise Mistake(f"`dataset.pixel_order` must be row, column or null, but is {pixel_order}")
    if pixel_order != "column":
        return x
    if x.dim() < 3 or x.shape[-1] != x.shape[-2]:
        raise Mistake("`dataset.pixel_order` must be row or null but for square pictures, but is column")
    return x.transpose(-1, -2).contiguous()
