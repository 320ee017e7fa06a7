"""Datasets that torchvision reads: local files first, else its downloads, which it checks by the published md5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dgmrun.data.splits import Splits, cut
from dgmrun.errors import Mistake


def load(data_dir: Path, name: str, held_out: int) -> Splits:
    """Pictures of the torchvision dataset `name`, grey levels / 255; the last `held_out` to train on are valid."""
    train, test = (_part(data_dir, name, train) for train in (True, False))
    x, y = (torch.cat([torch.as_tensor(getattr(part, of)) for part in (train, test)]) for of in ("data", "targets"))
    return cut(_channels_first(x) / 255, y, [len(train) - held_out, held_out, len(test)])


def _part(data_dir: Path, name: str, train: bool) -> Any:
    """The training or the test part.

    Raises:
        Mistake: it is not there, and no download of it came through.
    """
    from torchvision import datasets

    make = getattr(datasets, name)
    try:
        return make(data_dir, train=train)
    except Exception:  # of whatever kind torchvision or a damaged file raises
        try:
            return make(data_dir, train=train, download=True)
        except Exception as error:
            raise Mistake(
                f"`data_dir` must hold {name} as torchvision keeps it, but {data_dir} does not, "
                f"and downloading it failed: {' '.join(str(error).split())}",
                hint="data_dir=DIR, or DGMRUN_DATA=DIR in the environment, with the folder that has it",
            ) from error


def _channels_first(x: Tensor) -> Tensor:
    """[N, channels, height, width] of [N, height, width], or of [N, height, width, channels]."""
    return x.unsqueeze(1) if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous()
