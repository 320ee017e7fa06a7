"""The writes of a process, counted, and something that happens within one of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Act = Callable[[], None]


class Told:
    """A stream that says before each part is written that it will be, with one half of it there already."""

    def __init__(self, stream: Any, act: Act) -> None:
        self.stream, self.act = stream, act

    def write(self, part: Any) -> int:
        """Writes a part in two."""
        view = memoryview(part).cast("B")
        self.stream.write(view[: len(view) // 2])
        self.stream.flush()
        self.act()
        self.stream.write(view[len(view) // 2 :])
        return len(view)

    def flush(self) -> None:
        """Flushes the stream."""
        self.stream.flush()


def before_each(act: Act) -> None:
    """From now on, `act` is called before each rename and each sync, and within each part of a checkpoint."""
    rename, sync, save = os.replace, os.fsync, torch.save

    def renames(*names: Any) -> None:
        act()
        rename(*names)

    def syncs(handle: int) -> None:
        act()
        sync(handle)

    def saves(state: Any, stream: Any) -> None:
        told: Any = Told(stream, act)
        save(state, told)

    os.replace, os.fsync, torch.save = renames, syncs, saves  # type: ignore[assignment]


def count(file: Path) -> None:
    """Makes a file of as many bytes as there are writes from now on."""
    file.write_bytes(b"")
    handle = os.open(file, os.O_WRONLY | os.O_APPEND)
    before_each(lambda: (os.write(handle, b"."), None)[1])


def within(number: int, act: Act) -> None:
    """Calls `act` within the write of this number from now on, the first being 0."""
    numbers = iter(range(number + 1))
    before_each(lambda: act() if next(numbers, None) == number else None)
