"""What a checkpoint gives back, before it is taken: tensors such as those in whose place they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def alike(value: Any, like: Tensor, name: str) -> Tensor:
    """The value, if it is a finite tensor of the shape of `like` and of its kind: real, whole or true and false.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, Tensor) or value.shape != like.shape or _kind(value) != _kind(like):
        found = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"its {name} must be {like.dtype} {list(like.shape)}, but is {found}")
    if not torch.isfinite(value).all():
        raise ValueError(f"its {name} must be finite, but is not")
    return value


def all_alike(values: Any, like: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The values, if they are tensors of the same names, each `alike`.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(values, Mapping) or values.keys() != like.keys():
        found = ", ".join(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"its {name} must be {', '.join(like) or 'empty'}, but is {found or 'empty'}")
    return {key: alike(values[key], own, key) for key, own in like.items()}


def first_non_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with a NaN or infinity."""
    return next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)


def _kind(tensor: Tensor) -> tuple[bool, bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex(), tensor.dtype == torch.bool
