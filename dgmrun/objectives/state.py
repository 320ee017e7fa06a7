"""Validation of tensors: from a checkpoint against those that they replace, and of finite parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dgmrun.protocols.values import Batch


class NonFiniteError(Exception):
    """A NaN or infinity in the loss or a parameter; the message names the first one, `batch` is the current batch."""

    def __init__(self, name: str, batch: Batch) -> None:
        super().__init__(name)
        self.batch = batch


def alike(value: Any, like: Tensor, name: str) -> Tensor:
    """Returns the value if it is a finite tensor with the shape of `like` and the same kind of dtype.

    The kinds are real, complex, integer and boolean; precision may differ.

    Raises:
        ValueError: it is not such a tensor.
    """
    if not isinstance(value, Tensor) or value.shape != like.shape or _kind(value) != _kind(like):
        found = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"its {name} must be {like.dtype} {list(like.shape)}, but is {found}")
    if not torch.isfinite(value).all():
        raise ValueError(f"its {name} must be finite, but is not")
    return value


def all_alike(values: Any, like: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Returns the values if they are tensors with the same names as `like`, each of them `alike`.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(values, Mapping) or values.keys() != like.keys():
        found = ", ".join(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"its {name} must be {', '.join(like) or 'empty'}, but is {found or 'empty'}")
    return {key: alike(values[key], own, key) for key, own in like.items()}


def first_non_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Returns the name of the first tensor that contains a NaN or infinity, if any."""
    return next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)


def _kind(tensor: Tensor) -> tuple[bool, bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex(), tensor.dtype == torch.bool
