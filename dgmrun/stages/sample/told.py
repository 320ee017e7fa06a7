"""Attributes and captions that `sample.given` asks for, and examples of the same contexts as samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dgmrun.data.check import inside
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event


def contexts(asked: Any, event: Event) -> Tensor:
    """Returns the contexts that `sample.given` asks for, [contexts, *event.shape].

    Args:
        asked: one list of numbers or several; captions may be shorter than those of the data,
            down to none.
        event: event of the context, a vector.

    Raises:
        Mistake: they are not such contexts.
    """
    rows = asked if isinstance(asked, list) and asked and isinstance(asked[0], list) else [asked]
    if not all(_are_numbers(row, event) for row in rows):
        raise _refusal(asked, event)
    found = torch.tensor([[*row, *[0] * (event.dims - len(row))] for row in rows], dtype=torch.float64)
    if not inside(found, event):
        raise _refusal(asked, event)
    return found


def alike(told: Tensor, contexts: Tensor) -> Tensor | None:
    """Returns places of examples of these contexts, each with its own in turn; None if some context has none."""
    found, told = torch.empty(len(told), dtype=torch.int64), told.to(contexts.dtype)
    for one in told.unique(dim=0):
        of_told, of_data = ((part == one).reshape(len(part), -1).all(1).nonzero()[:, 0] for part in (told, contexts))
        if not len(of_data):
            return None
        found[of_told] = of_data[torch.arange(len(of_told)) % len(of_data)]
    return found


def _are_numbers(row: Any, event: Event) -> bool:
    def is_number(each: Any) -> bool:
        return type(each) in (int, float) or (type(each) is bool and event.kind == "binary")

    is_list = isinstance(row, list) and all(map(is_number, row))
    return is_list and (len(row) == event.dims or (event.kind == "tokens" and len(row) < event.dims))


def _refusal(asked: Any, event: Event) -> Mistake:
    numbers = {"binary": "attributes, each 0 or 1", "real": "attributes"}.get(event.kind, "numbers")
    must = f"a list of {event.dims} {numbers}"
    if event.kind == "tokens":
        must = f"a caption, a list of at most {event.dims} words from 1 to {(event.size or 1) - 1}"
    return Mistake(f"`sample.given` must be null, {must}, or several such lists, but is {asked}")
