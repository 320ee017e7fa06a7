"""What jobs that are forks share: made before the first of them, and not freed at their ends."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from dgmrun.paths import PACKAGE

OF_JOBS = "cli command.execution stages.train.fit".split()
"""Modules of dgmrun that import most of what any job does."""
ROOMS = ("estimators", "pictures")
"""Rooms of which any job needs some module or other."""


def prepare() -> None:
    """Imports what a job may need, and reads the configuration files that each composes.

    All of it is frozen: a fork that collects garbage would copy the memory that it shares with the server.
    """
    files = [file.relative_to(PACKAGE) for room in ROOMS for file in sorted((PACKAGE / room).rglob("[!_]*.py"))]
    for name in (*OF_JOBS, *(".".join(file.with_suffix("").parts) for file in files)):
        import_module(f"dgmrun.{name}")
    import_module("dgmrun.command.compose").store_new(())
    gc.freeze()


def leave(ends: Sequence[int]) -> None:
    """Ends this process with a status that it says, after its other exit handlers, all that is written in files.

    What was imported, half a million objects in memory shared with the server, is not freed one by one: that takes as
    long as a short training.
    """
    for status in ends:
        for stream in (sys.stdout, sys.stderr, *gc.get_objects()):  # without those of the server, which are frozen
            if isinstance(stream, io.IOBase):
                with suppress(OSError, ValueError):  # closed
                    stream.flush()
        os._exit(status)
