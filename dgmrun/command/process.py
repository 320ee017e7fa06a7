"""What the command line changes of its own process, and a notebook's is spared."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from dgmrun.objectives import stand_in

TRIM, MAP = (-1, 2**27), (-3, 2**25)
"""Settings of glibc's `mallopt`: bytes of free memory to keep, and of a piece that is mapped on its own."""


def settle() -> None:
    """Has a process that is for one command alone start and compute faster; called before anything heavy is imported.

    Threads that wait leave their cores to others soon, freed memory is kept, and Lightning comes without torchmetrics.
    """
    if "OMP_WAIT_POLICY" not in os.environ:  # 300,000, as GNU's OpenMP has it, holds up cores that are shared
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    keep_memory()
    stand_in.is_wanted = True


def keep_memory() -> None:
    """Has the C library reuse freed memory, where it is glibc, which would return that of large tensors to the system.

    The system would clear every page anew for the next of them. Free memory of up to 128 MiB at the top of the heap is
    kept; pieces of 32 MiB and more that do not fit there are still mapped on their own, and returned once freed.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for setting in (TRIM, MAP):
            mallopt(*setting)
