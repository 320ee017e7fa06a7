"""Random numbers: all come from torch's default generators, and `seeded` provides independent streams.

The numbers drawn within `seeded(...)` depend only on its arguments, and the state outside is unaffected: validating
more often, for example, does not change the training.
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
    """Forks torch's generators (CPU and this process's GPU) and seeds them with a hash of the arguments.

    Args:
        seed: the run's seed.
        names: identify the purpose, e.g. `"order", epoch`.
    """
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    with torch.random.fork_rng(devices=_gpus()):
        _seed(int.from_bytes(digest[:8], "big"))
        yield


def _seed(seed: int) -> None:
    """Seeds available generators; `torch.manual_seed` would store a stack trace of every call if there is no GPU."""
    torch.default_generator.manual_seed(seed)
    if _gpus():
        torch.cuda.manual_seed(seed)


@cache
def _gpus() -> list[int]:
    """Returns the GPU of this process, if any; cached, as the query takes milliseconds without a GPU."""
    return [torch.cuda.current_device()] if torch.cuda.is_available() else []


def get_state() -> dict[str, Any]:
    """Returns the state of torch's default generators, as tensors."""
    return {"cpu": torch.get_rng_state(), "cuda": [torch.cuda.get_rng_state(gpu) for gpu in _gpus()]}


def set_state(state: dict[str, Any]) -> None:
    """Restores a state returned by `get_state`, as far as this machine has the devices."""
    torch.set_rng_state(state["cpu"])
    for gpu, gpu_state in zip(_gpus(), state["cuda"], strict=False):
        torch.cuda.set_rng_state(gpu_state, gpu)
