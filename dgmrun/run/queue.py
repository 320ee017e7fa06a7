"""Runs that wait in the queue of Slurm or have been started by it: the number of the job of each, in slurm.job.

A run gets its results.json once its job starts; until then, there is only its configuration.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dgmrun.errors import RunFailed
from dgmrun.run.files import replace

JOB = "slurm.job"
LOGS = "slurm"
"""Folder in that of the sweep with what Slurm and submitit write of each job."""
PATIENCE = 60.0
"""Seconds that Slurm has to answer."""
STATES = {"RUNNING": "running", "COMPLETING": "running"}
"""What the states of Slurm are called; all others of jobs in its queue are those of one that waits."""


def note(run: Path, job: str) -> None:
    """Writes down the number of the job in which a run is going to be executed, as 17 or 17_3."""
    replace(run / JOB, f"{job}\n".encode())


def queued(runs: Iterable[Path]) -> dict[Path, str]:
    """Returns which of the runs are in the queue of Slurm, and whether each is `queued` or `running`.

    The queue is that of the user, asked for once; where there is no Slurm, none is.

    Raises:
        RunFailed: Slurm does not answer.
    """
    jobs = {run: job for run in runs if (job := _job(run))}
    states = _states() if jobs else {}
    return {run: states[job] for run, job in jobs.items() if job in states}


def _job(run: Path) -> str | None:
    with suppress(OSError, ValueError):
        return (run / JOB).read_text()[:100].strip()
    return None


def _states() -> dict[str, str]:
    if shutil.which("squeue") is None:
        return {}
    command = ["squeue", "--me", "--array", "--noheader", "--format=%i %T"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).splitlines()[-1]
        raise RunFailed(f"squeue must say which jobs wait, but: {told}", "the same once it answers") from None
    pairs = (line.partition(" ") for line in said.splitlines())
    return {job: STATES.get(state, "queued") for job, _, state in pairs}
