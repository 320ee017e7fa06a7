"""p(x), p(x | labels) and p(labels | x) of the same rows."""

from __future__ import annotations

import pytest
import torch

from dgmrun.data.arrangement import Arrangement
from dgmrun.data.source import InMemorySource
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

GREY, CLASSES = Event((1, 1, 2), "unit"), Event((), "categorical", 3)
X = torch.arange(8, dtype=torch.uint8).reshape(4, 1, 1, 2)
LABELS = torch.tensor([0, 2, 1, 2], dtype=torch.uint8)
INDEX = torch.tensor([7, 3, 5, 4])


@pytest.mark.parametrize("labels", [LABELS, None])
@pytest.mark.parametrize("event", [CLASSES, None])
def test_null_is_x_alone(labels: torch.Tensor | None, event: Event | None) -> None:
    arrangement = Arrangement(GREY, event)
    assert (arrangement.event, arrangement.context) == (GREY, None)
    batch = arrangement(X, labels, INDEX)
    assert torch.equal(batch.x, X.float())
    assert torch.equal(batch.index, INDEX)
    assert (batch.x.dtype, batch.context) == (torch.float32, None)


def test_x_may_be_given_its_label() -> None:
    arrangement = Arrangement(GREY, CLASSES, "labels")
    assert (arrangement.event, arrangement.context) == (GREY, CLASSES)
    batch = arrangement(X, LABELS, INDEX)
    assert batch.context is not None
    assert torch.equal(batch.x, X.float())
    assert torch.equal(batch.context, LABELS.long())
    assert (batch.x.dtype, batch.context.dtype) == (torch.float32, torch.int64)


def test_a_label_may_be_given_its_x() -> None:
    arrangement = Arrangement(GREY, CLASSES, "x")
    assert (arrangement.event, arrangement.context) == (CLASSES, GREY)
    batch = arrangement(X, LABELS, INDEX)
    assert batch.context is not None
    assert torch.equal(batch.x, LABELS.long())
    assert torch.equal(batch.context, X.float())
    assert torch.equal(batch.index, INDEX)


@pytest.mark.parametrize("given", ["labels", "x"])
def test_nothing_is_given_where_there_are_no_labels(given: str) -> None:
    with pytest.raises(Mistake, match=f"attributes or captions for given={given}, but has none") as caught:
        Arrangement(GREY, None, given)
    assert (caught.value.hint or "").startswith("dataset.label=NAME")


def test_another_word_is_refused() -> None:
    with pytest.raises(Mistake, match="`given` must be null, labels or x, but is y"):
        Arrangement(GREY, CLASSES, "y")


def test_rows_of_a_source_keep_their_labels() -> None:
    x, y = torch.arange(9.0).reshape(9, 1), torch.arange(9) % 3
    arrangement = Arrangement(Event((1,), "real"), CLASSES, "x")
    for batch in InMemorySource(x, y, 4, 0, arrange=arrangement):
        assert batch.context is not None
        assert torch.equal(batch.context, x[batch.index])
        assert torch.equal(batch.x, y[batch.index])
