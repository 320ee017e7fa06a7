"""Examples that are mostly 0, kept as the entries that are not: torch tensors in compressed sparse rows (CSR).

Memory follows the words that occur. Examples become dense where some of them are gathered, a batch at a time. All
functions take dense tensors, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def csr(start: Tensor, column: Tensor, value: Tensor, width: int) -> Tensor:
    """Makes a matrix [rows, width] in CSR.

    Args:
        start: place of the first entry of each row, and the number of entries, [rows + 1].
        column: column of each entry, ascending in a row.
        value: value of each entry.
        width: number of columns.
    """
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse ")  # it is in beta, and unchecked
        return torch.sparse_csr_tensor(start, column, value, (len(start) - 1, width))


def is_sparse(x: Tensor) -> bool:
    """Returns whether examples are in CSR."""
    import torch

    return x.layout == torch.sparse_csr


def subset(x: Tensor, which: Any) -> Tensor:
    """Returns the examples selected by `which`, a slice or positions, kept as they were."""
    import torch

    if not is_sparse(x):
        return x[which] if isinstance(which, slice) else x.index_select(0, which)
    start, index = x.crow_indices(), torch.arange(len(x), device=x.device)[which]
    first, number = start[index], start[index + 1] - start[index]
    ends = torch.cat((number.new_zeros(1), number.cumsum(0)))
    places = torch.arange(int(ends[-1]), device=x.device) + (first - ends[:-1]).repeat_interleave(number)
    return csr(ends.to(start), x.col_indices()[places], x.values()[places], x.shape[1])


def gathered(x: Tensor, which: Any) -> Tensor:
    """Returns the examples selected by `which`, a slice or positions, dense."""
    found = subset(x, which)
    return found.to_dense() if is_sparse(found) else found


def as_bytes(x: Tensor) -> Iterator[bytes]:
    """Yields the entries of each example that are kept, and their columns if not all are."""
    if not is_sparse(x):
        yield from (row.tobytes() for row in x.cpu().reshape(len(x), -1).contiguous().numpy())
        return
    whole = x.values() if x.is_floating_point() else x.values().long()
    start, column, value = (part.cpu().numpy() for part in (x.crow_indices(), x.col_indices().long(), whole))
    for first, end in pairwise(start.tolist()):
        yield b"%d:" % (end - first) + column[first:end].tobytes() + value[first:end].tobytes()


def entries(x: Tensor) -> Tensor:
    """Returns the entries that are kept: all of a dense tensor."""
    return x.values() if is_sparse(x) else x


def sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the sums over the entries of each example and over all examples of each entry, float64 [rows], [dims]."""
    flat = x.double() if is_sparse(x) else x.double().flatten(1)
    ones = entries(flat).new_ones
    return flat @ ones(flat.shape[1]), flat.t() @ ones(len(flat))
