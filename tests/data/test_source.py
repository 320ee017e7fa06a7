"""The in-memory source: every example once an epoch, and resumed at any batch to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmrun.data.arrangement import Arrangement
from dgmrun.data.binarise import bernoulli
from dgmrun.data.source import InMemorySource
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Batch, Event

N = 23
X = torch.arange(N * 2, dtype=torch.float32).reshape(N, 2) / (2 * N)
Y = torch.arange(N)
GIVEN_Y = Arrangement(Event((2,), "unit"), Event((), "categorical", N), "labels")


def source(**changes: object) -> InMemorySource:
    return InMemorySource(**({"x": X, "y": Y, "batch_size": 5, "seed": 1} | changes))


def epoch(of: InMemorySource) -> Tensor:
    return torch.cat([batch.index for batch in of])


def test_every_example_comes_once_an_epoch() -> None:
    batches = list(source(arrange=GIVEN_Y))
    assert [len(batch.x) for batch in batches] == [5, 5, 5, 5, 3]
    assert len(batches) == len(source()) == 5
    assert torch.cat([batch.index for batch in batches]).sort().values.tolist() == list(range(N))
    for batch in batches:
        assert torch.equal(batch.x, X[batch.index])
        assert torch.equal(batch.context, Y[batch.index])


def test_order_is_a_function_of_seed_and_epoch() -> None:
    one, another = source(), source()
    torch.rand(7)
    first, second = epoch(one), epoch(one)
    assert torch.equal(first, epoch(another))
    assert not torch.equal(first, second)
    assert not torch.equal(first, epoch(source(seed=2)))
    another.load_state_dict({"epoch": 1, "position": 0})
    assert torch.equal(second, epoch(another))


def test_order_leaves_the_default_generator_alone() -> None:
    state = torch.get_rng_state()
    epoch(source())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("given", range(1, 11))
def test_resumed_after_any_batch_it_goes_on_to_the_bit(given: int) -> None:
    """Iterators are dropped when their last batch is out, as Lightning does: never run to exhaustion."""
    killed, unharmed = source(), source()
    expected = list(islice(endless(unharmed), 14))
    list(islice(endless(killed), given))
    resumed = source()
    resumed.load_state_dict(killed.state_dict())
    for batch, wanted in zip(endless(resumed), expected[given:], strict=False):
        assert torch.equal(batch.x, wanted.x)
        assert torch.equal(batch.index, wanted.index)


def endless(of: InMemorySource) -> Iterator[Batch]:
    """Three epochs, or what is left of them."""
    for _ in range(3):
        yield from islice(iter(of), len(of) - of.position % len(of))


def test_position_counts_the_batch_just_given() -> None:
    one = source()
    next(iter(one))
    assert one.state_dict() == {"epoch": 0, "position": 1}
    assert (one.epoch, one.position, one.size) == (0, 1, N)


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("batch_size", [6, 12, 18, 600])
def test_shards_are_equal_and_partition_the_global_batch(batch_size: int, world_size: int) -> None:
    """So the mean over processes of their means is the mean over the batch; what cannot be shared out is left."""
    whole = list(source(batch_size=batch_size))
    shards = [list(source(batch_size=batch_size, rank=rank, world_size=world_size)) for rank in range(world_size)]
    for batch, *parts in zip(whole, *shards, strict=False):
        shared = len(batch.index) - len(batch.index) % world_size
        assert {len(part.index) for part in parts} == {shared // world_size}
        assert torch.equal(torch.stack([part.index for part in parts]).T.flatten(), batch.index[:shared])
    assert {len(shard) for shard in shards} == {len(source(batch_size=batch_size, world_size=world_size))}


def test_a_last_batch_too_small_for_all_processes_is_left_out() -> None:
    assert [len(source(x=X[:9], y=Y[:9], batch_size=4, world_size=size)) for size in (1, 2)] == [3, 2]
    assert len(list(source(x=X[:9], y=Y[:9], batch_size=4, rank=1, world_size=2))) == 2


def test_a_batch_size_above_the_split_is_the_split() -> None:
    assert [len(batch.x) for batch in source(batch_size=1000)] == [N]


@pytest.mark.parametrize("changes", [{"batch_size": 2}, {"batch_size": 4}, {"x": X[:2], "y": Y[:2], "batch_size": 3}])
def test_every_process_has_as_many_rows(changes: dict[str, Any]) -> None:
    with pytest.raises(Mistake, match=r"`dataset.batch_size` must be a multiple of the 3 processes"):
        source(world_size=3, **changes)


def test_bytes_become_floats_and_nothing_is_given_unasked() -> None:
    for y in (None, Y):
        batch = next(iter(source(x=torch.ones(N, 2, dtype=torch.uint8), y=y)))
        assert batch.x.dtype is torch.float32
        assert batch.context is None


def test_draws_are_anew_and_by_its_place_alone() -> None:
    x = torch.tensor([0.0, 0.3, 1.0]).expand(5000, 3)
    drawn = source(x=x, y=None, batch_size=5000, draw=bernoulli)
    first, second = next(iter(drawn)).x, next(iter(drawn)).x
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    standard_error = (x[0] * (1 - x[0]) / 5000).sqrt()
    assert ((first.mean(0) - x[0]).abs() <= 4 * standard_error).all()
    torch.rand(7)
    again = source(x=x, y=None, batch_size=5000, draw=bernoulli)
    assert torch.equal(next(iter(again)).x, first)
    assert torch.equal(next(iter(again)).x, second)
