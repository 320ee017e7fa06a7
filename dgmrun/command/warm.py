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
    """Ends this process with the status that it says, if it says one, after its other exit handlers.

    The buffers of open files are written. What was imported, half a million objects in memory shared with the server,
    is not freed one by one: that takes as long as a short training.
    """
    for status in ends:
        try:
            streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
            for one in (*streams, *gc.get_objects()):  # without what the server has made, which is frozen
                if issubclass(type(one), io.IOBase):
                    with suppress(Exception):  # a closed one, or one of a user's own class
                        one.flush()
        finally:
            os._exit(status)
