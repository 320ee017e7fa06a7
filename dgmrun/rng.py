"""Randomness: all of it comes from torch's default generators, and `seeded` is how a part gets its own.

What runs inside `seeded(...)` draws the same numbers whoever runs it and whenever, and leaves no trace outside:
looking more often at a training changes nothing of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Forks torch's generators (CPU and this process's GPU) and seeds them from a hash of the arguments.

    Args:
        seed: the run's seed.
        names: what is being done, say `"order", epoch`.
    """
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    with torch.random.fork_rng(devices=_gpus()):
        _seed(int.from_bytes(digest[:8], "big"))
        yield


def _seed(seed: int) -> None:
    """`torch.manual_seed` for what is there: for what is not, it keeps a stack trace of every call, for ever."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(seed)


@cache
def _gpus() -> list[int]:
    """The GPU of this process. Asked once: where there is none, looking for one takes milliseconds."""
    return [torch.cuda.current_device()] if torch.cuda.is_available() else []


def get_state() -> dict[str, Any]:
    """The state of torch's default generators, in tensors alone."""
    return {"cpu": torch.get_rng_state(), "cuda": [torch.cuda.get_rng_state(gpu) for gpu in _gpus()]}


def set_state(state: dict[str, Any]) -> None:
    """Takes back what `get_state` gave, as far as this machine has them."""
    torch.set_rng_state(state["cpu"])
    for gpu, gpu_state in zip(_gpus(), state["cuda"], strict=False):
        torch.cuda.set_rng_state(gpu_state, gpu)
