"""How many threads torch computes with: fewer than there are cores, where other programs keep some of them busy.

The threads of one product wait for each other, so that one which must share its core holds up all: two beside one busy
program take longer than one alone. What others take is seen while dgmrun starts.
"""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from dgmrun.errors import Mistake

log = logging.getLogger("dgmrun")
SPENT = (1, 2, 3)
"""Columns of a core in /proc/stat with what programs have spent: user, nice and system, in ticks."""
LEAST = 0.5
"""Seconds that the cores are watched at least: a forked job has imported everything before."""
THREADS = re.compile(r"\s*0*[1-9]\d*\s*(,\s*0*[1-9]\d*\s*)*")
"""Pattern of numbers of threads, one for each level of nesting, as OpenMP reads them."""


def check_threads() -> None:
    """Refuses a number of threads that OpenMP would leave aside, while dgmrun would take it for the user's wish.

    Raises:
        Mistake: `OMP_NUM_THREADS` is set to what is no number of threads.
    """
    given = os.environ.get("OMP_NUM_THREADS", "1")
    if not THREADS.fullmatch(given):
        must = f"`OMP_NUM_THREADS` must be a whole number and at least 1, or not be set, but is {given!r}"
        raise Mistake(must, "unset OMP_NUM_THREADS takes as many threads as other programs leave cores")


class Cores:
    """Watches the cores that this process may use, from when it is made.

    Args:
        stat: the file that tells what each core has spent; without it, all of them count as free.
    """

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self.stat = stat
        self.since, self.spent, self.own = time.monotonic(), self._spent(), time.process_time()

    def others(self) -> float:
        """Number of cores that other programs have kept busy, in the mean."""
        spent = self._spent() - self.spent - (time.process_time() - self.own)
        return max(0.0, spent / max(time.monotonic() - self.since, 1e-3))

    def share(self) -> None:
        """Leaves busy cores to others, unless the user has set a number of threads; says so."""
        import torch

        most = torch.get_num_threads()
        if most == 1 or "OMP_NUM_THREADS" in os.environ:
            return
        time.sleep(max(0.0, LEAST - (time.monotonic() - self.since)))
        threads = max(1, most - round(self.others()))
        if threads < most:
            torch.set_num_threads(threads)
            told = "threads     %d of %d, as other programs are busy; OMP_NUM_THREADS=%d takes all"
            log.info(told, threads, most, most)

    def _spent(self) -> float:
        """Seconds that all programs have spent on these cores since the system started."""
        with suppress(OSError, AttributeError):
            mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
            rows = [line.split() for line in self.stat.read_text().splitlines()]
            ticks = sum(int(row[column]) for row in rows if row and row[0] in mine for column in SPENT)
            return ticks / os.sysconf("SC_CLK_TCK")
        return 0.0
