"""Blocks of examples shared out over the processes of a training or of an evaluation.

Every process has the results of all blocks in the end, which are those of one process: each example counts once, and
random numbers belong to the block, whoever computes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, distributed
from torch.utils._pytree import tree_map_only

from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Batch
from dgmrun.rng import seeded

T = TypeVar("T")


def is_first() -> bool:
    """Returns whether this process is the first of several, or the only one."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def of_blocks(function: Callable[[Batch], T], batch: Batch, size: int) -> list[T]:
    """Returns what a function makes of each block of `size` examples; the last block may be smaller.

    With several processes, they take turns; all must call this with the same arguments and the same state of the random
    generators.

    Args:
        function: makes tensors, or tuples of them, from examples; it may draw random numbers.
        batch: the examples.
        size: number of examples of a block.
    """
    rank, number = (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)
    seed, starts = int(torch.randint(2**62, ())), range(0, len(batch.x), size)
    mine = {}
    for start in tracked(starts[rank::number]):
        with seeded(seed, "block", start):
            mine[start] = function(batch.rows(slice(start, start + size)))
    if number == 1:
        return list(mine.values())
    every: list[dict[int, T]] = [{}] * number
    distributed.all_gather_object(every, tree_map_only(Tensor, Tensor.cpu, mine))
    results = {start: result for one in every for start, result in one.items()}
    in_order: list[T] = tree_map_only(Tensor, lambda part: part.to(batch.x.device), [results[each] for each in starts])
    return in_order
