"""Samples given attributes and captions: which are asked for, and from examples."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event
from dgmrun.stages.sample.told import alike, contexts

BITS, REAL, CAPTION = Event((3,), "binary"), Event((2,), "real"), Event((4,), "tokens", 6)


@pytest.mark.parametrize(
    ("asked", "event", "expected"),
    [
        ([1, 0, 1], BITS, [[1, 0, 1]]),
        ([True, False, True], BITS, [[1, 0, 1]]),
        ([[1, 0, 1], [0, 0, 0]], BITS, [[1, 0, 1], [0, 0, 0]]),
        ([0.5, -3], REAL, [[0.5, -3]]),
        ([3, 5], CAPTION, [[3, 5, 0, 0]]),
        ([3, 5, 0], CAPTION, [[3, 5, 0, 0]]),
        ([[3, 5, 1, 1], [2], []], CAPTION, [[3, 5, 1, 1], [2, 0, 0, 0], [0, 0, 0, 0]]),
        ([], CAPTION, [[0, 0, 0, 0]]),
    ],
)
def test_attributes_and_captions_are_lists(asked: Any, event: Event, expected: list[list[float]]) -> None:
    assert torch.equal(contexts(asked, event), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("asked", "event", "must"),
    [
        (1, BITS, "a list of 3 attributes, each 0 or 1"),
        ([1, 0], BITS, "a list of 3 attributes, each 0 or 1"),
        ([1, 0, 2], BITS, "a list of 3 attributes, each 0 or 1"),
        ([[1, 0, 1], 1], BITS, "a list of 3 attributes, each 0 or 1"),
        ([float("nan"), 0.0], REAL, "a list of 2 attributes"),
        (["age", 1], REAL, "a list of 2 attributes"),
        ([1, 2, 3, 4, 5], CAPTION, "a caption, a list of at most 4 words from 1 to 5"),
        ([1, 0, 2], CAPTION, "a caption, a list of at most 4 words from 1 to 5"),
        ([6], CAPTION, "a caption, a list of at most 4 words from 1 to 5"),
        ([1.5], CAPTION, "a caption, a list of at most 4 words from 1 to 5"),
        (["red"], CAPTION, "a caption, a list of at most 4 words from 1 to 5"),
    ],
)
def test_what_is_none_is_refused(asked: Any, event: Event, must: str) -> None:
    with pytest.raises(Mistake, match=f"`sample.given` must be null, {must}, or several such lists, but is "):
        contexts(asked, event)


@pytest.mark.parametrize(
    ("told", "of_data", "places"),
    [
        ([0, 0, 0, 2, 2], [2, 0, 1, 0, 2, 2], [1, 3, 1, 0, 4]),
        ([1, 0, 1], [1, 0], [0, 1, 0]),
        ([3], [2, 0], None),
        ([[1, 0], [0, 0]], [[0, 0], [1, 0]], [1, 0]),
        ([[1, 0], [1, 1]], [[0, 0], [1, 0]], None),
    ],
)
def test_examples_beside_samples_have_their_contexts(told: Any, of_data: Any, places: list[int] | None) -> None:
    found = alike(torch.tensor(told), torch.tensor(of_data))
    assert (None if found is None else found.tolist()) == places


def test_numbers_are_compared_as_precisely_as_the_data_have_them() -> None:
    found = alike(contexts([0.1, 0.2], REAL), torch.tensor([[0.3, 0.2], [0.1, 0.2]]))
    assert found is not None
    assert found.tolist() == [1]
