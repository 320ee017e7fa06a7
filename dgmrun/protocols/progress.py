"""Progress of long computations: what loops says how far it is, and whoever called it may show that.

Only the outermost of nested loops is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Observer:
    """Who is told of loops.

    Args:
        tell: called with the number of items that are done, and of all.
        is_told: whether a loop tells it already, so that loops within do not.
    """

    tell: Callable[[int, int], None]
    is_told: bool = False


_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


def tracked(items: Sequence[T]) -> Iterator[T]:
    """Yields the items, and tells the observer, if there is one, after each of them; one item alone is not told of."""
    observer = _observer.get()
    if observer is None or observer.is_told or len(items) < 2:
        yield from items
        return
    observer.is_told = True
    try:
        for done, item in enumerate(items, 1):
            yield item
            observer.tell(done, len(items))
    finally:
        observer.is_told = False


@contextmanager
def observed(tell: Callable[[int, int], None]) -> Iterator[None]:
    """Context manager in which loops tell how far they are."""
    token = _observer.set(Observer(tell))
    try:
        yield
    finally:
        _observer.reset(token)
