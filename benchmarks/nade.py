"""Forward and backward of a NADE with 784 dimensions and 500 hidden units, batch 100, and samples of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from benchmarks._compare import Comparison
from benchmarks._stage import Stage
from dgmrun.models.nade import NADE
from dgmrun.protocols.values import Event

DIMS, HIDDEN, BATCH, CALLS, SAMPLES, ON = 784, 500, 100, 5, 1000, 0.13


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Against the loop over dimensions, what it would take to keep all activations, and a loop that draws samples.

    The loop is told bits half of which are on, and those of the data; as many of samples are on as of binary MNIST.
    """
    dims = 60 if quick else DIMS
    nade = NADE(Event((dims,), "binary"), HIDDEN)
    even, x = torch.rand(BATCH, dims).round(), Stage(data, steps=1).x[:BATCH, :dims]
    dark = NADE(Event((dims,), "binary"), HIDDEN)
    nn.init.constant_(dark.visible_bias, math.log(ON / (1 - ON)))
    nn.init.normal_(dark.output_weight, 0, 0.01)
    drawing, peer = partial(drawn, dark, NADE.sample), partial(drawn, dark, plain)
    all_activations = BATCH * dims * HIDDEN * 4 / 2**20
    memory = partial(peak, partial(step, nade, NADE.log_prob, even))
    return [
        both_ways(nade, "half on", even),
        both_ways(nade, "the data", x),
        Comparison("NADE, peak memory, all activations", "MiB", memory, lambda: all_activations, "<= 0.1"),
        Comparison("NADE, 1,000 samples, plain torch", "samples/s", drawing, peer, ">= 1.5"),
    ]


def both_ways(nade: NADE, bits: str, x: Tensor) -> Comparison:
    """Forward and backward, given `bits` x."""
    ours, theirs = (partial(rate, partial(step, nade, log_prob, x)) for log_prob in (NADE.log_prob, loop))
    name = f"NADE, forward and backward, loop over dimensions, {bits}"
    return Comparison(name, "examples/s", ours, theirs, ">= 3.2")


def step(nade: NADE, log_prob: Callable[[NADE, Tensor], Tensor], x: Tensor) -> None:
    """A gradient."""
    nade.zero_grad()
    log_prob(nade, x).mean().backward()


def rate(function: Callable[[], object]) -> float:
    """Examples per second of some calls."""
    start = perf_counter()
    for _ in range(CALLS):
        function()
    return BATCH * CALLS / (perf_counter() - start)


def loop(nade: NADE, x: Tensor) -> Tensor:
    """log p(x) as the paper writes it down, one dimension after another."""
    a, logits = nade.hidden_bias.expand(len(x), -1), []
    for d in range(x.shape[1]):
        logits.append(torch.sigmoid(a) @ nade.output_weight[d] + nade.visible_bias[d])
        a = a + x[:, d, None] * nade.weight[d]
    of_one = torch.stack(logits, 1)
    return (x * of_one - softplus(of_one)).sum(1)


def drawn(nade: NADE, sample: Callable[[NADE, int], Tensor]) -> float:
    """Samples a second."""
    start = perf_counter()
    sample(nade, SAMPLES)
    return SAMPLES / (perf_counter() - start)


@torch.no_grad()
def plain(nade: NADE, num: int) -> Tensor:
    """Samples, one dimension after another, of all activations."""
    a, x = nade.hidden_bias.repeat(num, 1), []
    for w, v, bias in zip(nade.weight, nade.output_weight, nade.visible_bias, strict=True):
        x.append((torch.rand(num) < torch.sigmoid(torch.sigmoid(a) @ v + bias)).float())
        a.addr_(x[-1], w)
    return torch.stack(x, 1)


def peak(function: Callable[[], object]) -> float:
    """MiB of tensors that a call makes and that live together."""
    with Live() as live:
        function()
    return live.most / 2**20


class Live(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, while they live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and looks at what it returns."""
        result = function(*args, **(kwargs or {}))
        for tensor in tree_flatten(result)[0]:
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage.data_ptr() not in self.known and storage.nbytes():
            self.known.add(storage.data_ptr())
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            finalize(storage, self._forget, storage.data_ptr(), storage.nbytes())

    def _forget(self, pointer: int, size: int) -> None:
        self.known.discard(pointer)
        self.now -= size
