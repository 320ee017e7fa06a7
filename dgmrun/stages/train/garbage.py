"""Python's garbage collector during a training."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def of_new_objects() -> Iterator[None]:
    """Context manager within which garbage is looked for among new objects alone.

    Python looks through all only once a quarter as many have come as have stayed. Those of the libraries are half a
    million, so that figures and graphs that refer to themselves would wait for thousands of steps. Garbage of before
    waits for the end: to look for it now takes a third of a second, as long as a short training. An earlier training is
    not in it, as `fit` leaves nothing of one that refers to itself.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
