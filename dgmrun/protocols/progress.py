"""Progress of long computations: what loops says how far it is, and whoever called it may show that.

Only the outermost of nested loops is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Observer = Callable[[int, int], None]
"""Called with the number of items that are done, and of all."""
_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


def tracked(items: Sequence[T]) -> Iterator[T]:
    """Yields the items, and tells the observer, if there is one, after each of them; one item alone is not told of."""
    observer = _observer.get()
    if observer is None or len(items) < 2:
        yield from items
        return
    with observed(None):
        for done, item in enumerate(items, 1):
            yield item
            observer(done, len(items))


@contextmanager
def observed(observer: Observer | None) -> Iterator[None]:
    """Context manager in which loops tell this observer."""
    before = _observer.get()
    _observer.set(observer)
    try:
        yield
    finally:
        _observer.set(before)
