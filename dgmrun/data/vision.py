"""Datasets of torchvision, from local files or else downloaded; torchvision checks the published MD5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dgmrun.data.splits import Splits, cut
from dgmrun.errors import Mistake


def load(data_dir: Path, name: str, held_out: int) -> Splits:
    """Loads the torchvision dataset `name`, grey levels / 255; valid is the last `held_out` of its training images."""
    train, test = (_part(data_dir, name, train) for train in (True, False))
    x, y = (torch.cat([torch.as_tensor(getattr(part, of)) for part in (train, test)]) for of in ("data", "targets"))
    return cut(_channels_first(x) / 255, y, [len(train) - held_out, held_out, len(test)])


def _part(data_dir: Path, name: str, train: bool) -> Any:
    """Returns the training or the test part.

    Raises:
        Mistake: there is no local copy, and the download failed.
    """
    from torchvision import datasets

    make = getattr(datasets, name)
    try:
        return make(data_dir, train=train)
    except Exception:  # torchvision and damaged files can raise anything
        try:
            return make(data_dir, train=train, download=True)
        except Exception as error:
            raise Mistake(
                f"`data_dir` must hold {name} as torchvision keeps it, but {data_dir} does not, "
                f"and downloading it failed: {' '.join(str(error).split())}",
                hint="data_dir=DIR, or DGMRUN_DATA=DIR in the environment, with the folder that has it",
            ) from error


def _channels_first(x: Tensor) -> Tensor:
    """Returns [N, channels, height, width] from [N, height, width] or [N, height, width, channels]."""
    return x.unsqueeze(1) if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous()
