"""What is conditioned on as a vector, for every kind of event."""

from __future__ import annotations

import math

import pytest
import torch

from dgmrun.nn.context import ContextVector, beside
from dgmrun.protocols.values import Event


@pytest.mark.parametrize(
    ("event", "given", "expected"),
    [
        (Event((), "categorical", 3), [2, 0], [[0, 0, 1], [1, 0, 0]]),
        (Event((2,), "categorical", 2), [[0, 1], [1, 1]], [[1, 0, 0, 1], [0, 1, 0, 1]]),
        (Event((1, 1, 2), "levels", 5), [[[[0, 4]]], [[[1, 2]]]], [[0, 1], [0.25, 0.5]]),
        (Event((1,), "levels", 1), [[0]], [[0]]),
        (Event((2,), "counts"), [[0, 1], [3, 7]], [[0, math.log(2)], [math.log(4), math.log(8)]]),
        (Event((4,), "tokens", 3), [[1, 2, 2, 0], [1, 0, 0, 0]], [[1, 1, 2], [3, 1, 0]]),
        (Event((), "binary"), [1.0, 0.0], [[1], [0]]),
        (Event((1, 2), "unit"), [[[0.25, 1.0]]], [[0.25, 1.0]]),
        (Event((2,), "real"), [[-3.5, 2.0]], [[-3.5, 2.0]]),
    ],
    ids=lambda value: value.kind if isinstance(value, Event) else "",
)
def test_every_kind_has_its_vector(event: Event, given: list[object], expected: list[list[float]]) -> None:
    vector, like = ContextVector(event), torch.zeros(1, dtype=torch.float64)
    found = vector(torch.tensor(given).to(event.dtype), like)
    assert found is not None
    assert found.dtype == like.dtype
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)
    assert found.shape == (len(given), vector.size)


def test_without_an_event_there_is_none() -> None:
    vector = ContextVector(None)
    assert vector.size == 0
    assert vector(None, torch.zeros(1)) is None


@pytest.mark.parametrize(("event", "given"), [(Event((), "binary"), None), (None, torch.zeros(2))])
def test_a_context_that_is_lacking_or_not_asked_for_is_refused(event: Event | None, given: torch.Tensor | None) -> None:
    with pytest.raises(ValueError, match="a context must be"):
        ContextVector(event)(given, torch.zeros(1))


def test_a_vector_stands_beside_units_of_every_sample_and_is_a_channel_of_pictures() -> None:
    c = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    z, pictures = torch.zeros(5, 2, 3), torch.zeros(2, 1, 2, 2)
    assert torch.equal(beside(z, c)[..., 3:], c.expand(5, 2, 2))
    assert torch.equal(beside(z, c)[..., :3], z)
    assert torch.equal(beside(pictures, c)[:, 1:], c[:, :, None, None].expand(2, 2, 2, 2))
    assert beside(z, None) is z
