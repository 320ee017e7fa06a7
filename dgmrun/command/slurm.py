"""Sweeps on Slurm: each job of a sweep becomes one of Slurm's, in an array that submitit submits.

Slurm may stop a job at the end of its time, for a job of more importance or for a fault of its machine, and starts it
again elsewhere. What it starts is always `dgmrun run=DIR`, which goes on from the newest checkpoint in DIR: no
checkpoint is named in a job (pitfall of requeued jobs that begin where they were submitted).
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgmrun.children import Child
from dgmrun.command.jobs import Job, prepared, withdraw
from dgmrun.errors import Interrupted, Mistake, RunFailed
from dgmrun.run import queue

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

LOGS = "slurm"
"""Folder in that of the sweep with what Slurm and submitit write of each job."""
TIMES = 10**6
"""Number of times that a job is queued again at the end of its time: as often as it takes."""
STOPPED = 3600.0
"""Seconds that a job waits for its end once it has been stopped: Slurm starts again only one that has not ended."""


class Task:
    """`dgmrun ARGV...` as a job of Slurm, which submitit calls there.

    Args:
        argv: its arguments.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = list(argv)
        self.child: Child | None = None
        self.ending: threading.Thread | None = None

    def __call__(self) -> None:
        """Executes the command.

        A thread waits for its end: the first one could not do so twice, in `checkpoint`, too, which interrupts it.

        Raises:
            Mistake: it fails.
        """
        threads = os.environ.get("OMP_NUM_THREADS") or os.environ.get("SLURM_CPUS_PER_TASK", "1")
        self.child = Child(self.argv, {"OMP_NUM_THREADS": threads}, quiet=False)
        self.ending = threading.Thread(target=self.child.process.wait, daemon=True)
        self.ending.start()
        self.ending.join()
        failure = self.child.failure()
        self.child.close()
        if isinstance(failure, Interrupted):
            time.sleep(STOPPED)
        if failure is not None:
            raise failure

    def checkpoint(self) -> DelayedSubmission:
        """Lets the command save its state, and returns what Slurm shall start again: the same."""
        from submitit.helpers import DelayedSubmission

        if self.child is not None and self.ending is not None:
            self.child.process.terminate()
            self.ending.join()
        return DelayedSubmission(Task(self.argv))


def check(sweep: Mapping[str, Any]) -> None:
    """Refuses a machine from which nothing can be submitted, and what Slurm does not do.

    Raises:
        Mistake: Slurm or submitit is not installed, or a setting is for a sweep here.
    """
    if sweep["fail_fast"]:
        raise Mistake("`sweep.fail_fast` must be false where `sweep.on` is slurm, but is true", "scancel ends jobs")
    if shutil.which("sbatch") is None:
        raise Mistake("`sweep.on` must be here on a machine without Slurm's sbatch, but is slurm", "sweep.on=here")
    try:
        import submitit  # noqa: F401
    except ModuleNotFoundError:
        raise Mistake("`sweep.on` must be here without submitit, but is slurm", "pip install 'dgmrun[slurm]'") from None


def enqueue(jobs: Sequence[Job], folder: Path, flags: Sequence[str], sweep: Mapping[str, Any]) -> None:
    """Gives to Slurm those jobs that are not done and that it does not have yet.

    Raises:
        Mistake: Slurm or submitit is not installed, or a setting is not one of theirs.
        RunFailed: Slurm takes no jobs.
    """
    check(sweep)
    found = queue.queued(job.path for job in jobs)
    commands: list[tuple[Job, list[str]]] = []
    for job in jobs:
        job.state = found.get(job.path, "done before")
        if job.path not in found and (argv := prepared(job, flags)) is not None:
            commands.append((job, argv))
    try:
        numbers = submit([argv for _, argv in commands], folder, sweep, jobs[0].config["device"])
    except BaseException:
        for job, _ in commands:
            withdraw(job)
        raise
    for (job, _), number in zip(commands, numbers, strict=True):
        queue.note(job.path, number)
        job.state = "queued"


def submit(
    commands: Sequence[Sequence[str]], folder: Path, sweep: Mapping[str, Any], device: Mapping[str, Any]
) -> list[str]:
    """Submits an array of jobs, `sweep.jobs` of which run at a time; returns the number of each.

    Args:
        commands: arguments of each job.
        folder: the directory of the sweep.
        sweep: the section of the configuration.
        device: the same, of every job.

    Raises:
        Mistake: a setting is not one of Slurm's.
        RunFailed: Slurm takes no jobs.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError

    if not commands:
        return []
    executor = SlurmExecutor(folder / LOGS, max_num_timeout=TIMES)
    executor.update_parameters(**parameters(folder.name, sweep, device))
    try:
        with redirect_stderr(StringIO()), executor.batch():
            jobs = [executor.submit(Task(argv)) for argv in commands]
    except FailedJobError as error:
        told = " ".join(str(error).split())
        raise RunFailed(f"Slurm must take jobs as `sweep.slurm` says, but: {told}", "sinfo shows what it has") from None
    return [job.job_id for job in jobs]


def parameters(name: str, sweep: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a job in the words of submitit."""
    slurm = sweep["slurm"]
    gpus = slurm["gpus_per_node"]
    if gpus is None and device["accelerator"] in ("gpu", "cuda"):
        gpus = device["devices"]
    if gpus == -1:
        raise Mistake(
            "`sweep.slurm.gpus_per_node` must be given where device.devices is -1", "sweep.slurm.gpus_per_node=1"
        )
    given = {
        "partition": slurm["partition"],
        "time": slurm["time"],
        "mem": slurm["mem"],
        "cpus_per_task": slurm["cpus_per_task"],
        "gpus_per_node": gpus,
    }
    return {
        **{key: value for key, value in given.items() if value is not None},
        "job_name": f"dgmrun-{name}",
        "nodes": device["num_nodes"],
        "ntasks_per_node": 1,
        "array_parallelism": sweep["jobs"],
        "srun_args": [f"--cpus-per-task={slurm['cpus_per_task']}"],  # which srun no longer takes from sbatch
        "additional_parameters": {"requeue": True, **slurm["options"]},
    }
