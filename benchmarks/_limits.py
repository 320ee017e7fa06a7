"""The machine's limits, which no program passes: products, memory, transcendental functions, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

FUNCTIONS = ("exp", "log1p", "tanh", "sigmoid", "softplus")
IN_CACHE = 32_768
"""Numbers of a thread: the least that torch gives to each of several, 128 KiB in float32."""


class Limit(NamedTuple):
    """A kind of work, and how much of it is done in a second.

    Args:
        name: the work.
        unit: of the rate.
        amount: of units in a call.
        call: does it once.
    """

    name: str
    unit: str
    amount: float
    call: Callable[[], object]


def table(quick: bool) -> list[str]:
    """Lines of the table, with one thread and with all."""
    most = torch.get_num_threads()
    counts = sorted({1, most})
    try:
        columns = [rates(count, quick) for count in counts]
    finally:
        torch.set_num_threads(most)
    head = "".join(f"{count} thread{'s' * (count > 1)}".rjust(12) for count in counts)
    lines = [
        f"{name:<30}{unit:>10}" + "".join(f"{column[name, unit]:12,.1f}" for column in columns)
        for name, unit in columns[0]
    ]
    return [f"{'limit':<30}{'unit':>10}{head}", *lines]


def rates(threads: int, quick: bool) -> dict[tuple[str, str], float]:
    """The highest rate of each, by name and unit."""
    torch.set_num_threads(threads)
    return {(limit.name, limit.unit): best(limit, quick) for limit in limits(threads, quick)}


def limits(threads: int, quick: bool) -> Iterator[Limit]:
    """All of them, one after another, since each holds its tensors."""
    size, length = (128, 2**16) if quick else (2048, 2**26)
    for dtype in (torch.float32, torch.float64):
        a = torch.randn(size, size, dtype=dtype)
        name = f"product of matrices, {str(dtype).removeprefix('torch.')}"
        yield Limit(name, "GFLOP/s", 2e-9 * size**3, partial(torch.mm, a, a, out=torch.empty_like(a)))
    x = torch.rand(length)
    yield Limit("memory, read and written", "GB/s", 2 * 4e-9 * length, partial(torch.empty_like(x).copy_, x))
    x = torch.rand(IN_CACHE * threads)
    for name in FUNCTIONS:
        into: Callable[..., Tensor] = getattr(torch.ops.aten, name).out
        yield Limit(f"{name}, float32", "10^6/s", 1e-6 * len(x), partial(into, x, out=torch.empty_like(x)))
    for name, draw in (("uniform", x.uniform_), ("bernoulli", x.bernoulli_), ("normal", x.normal_)):
        yield Limit(f"random numbers, {name}", "10^6/s", 1e-6 * len(x), draw)


def best(limit: Limit, quick: bool) -> float:
    """The highest rate of several bouts of calls, each of a tenth of a second."""
    bout = 0.001 if quick else 0.1
    limit.call()
    return max(_rate(limit, bout) for _ in range(2 if quick else 5))


def _rate(limit: Limit, bout: float) -> float:
    calls, start = 0, perf_counter()
    while (seconds := perf_counter() - start) < bout or not calls:
        limit.call()
        calls += 1
    return limit.amount * calls / seconds
