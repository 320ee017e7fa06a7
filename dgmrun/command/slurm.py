"""Sweeps on Slurm: each job of a sweep becomes one of Slurm's, in an array that submitit submits.

Slurm may stop a job at the end of its time, for a job of more importance or for a fault of its machine, and starts it
again elsewhere. What it starts is always `dgmrun run=DIR`, which goes on from the newest checkpoint in DIR: no
checkpoint is named in a job (pitfall of requeued jobs that begin where they were submitted).
"""

from __future__ import annotations

import os
import re
import shlex
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
from dgmrun.run.locks import locked

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

TIMES = 10**6
"""Number of times that a job is queued again at the end of its time: as often as it takes."""
STOPPED = 3600.0
"""Seconds that a job waits for its end once it has been stopped: Slurm starts again only one that has not ended."""
YEAR = 365 * 24 * 60
SBATCH = re.compile(r"^sbatch: error: (?:Batch job submission failed: )?(.+)$", re.MULTILINE)
"""Pattern of what sbatch says when it takes no jobs."""
SAVED = 60.0
"""Seconds that a run has to save its state: of the 90 that Slurm gives, some are for asking it to start again."""


class Task:
    """A job of a sweep as one of Slurm, which submitit calls there.

    Args:
        job: the job.
        flags: Hydra flags.
    """

    def __init__(self, job: Job, flags: Sequence[str]) -> None:
        self.job, self.flags = job, list(flags)
        self.child: Child | None = None
        self.ending: threading.Thread | None = None

    def __call__(self) -> None:
        """Executes what is unfinished of the run.

        A thread waits for its end: the first one could not do so twice, in `checkpoint`, too, which interrupts it.

        Raises:
            Mistake: it fails.
        """
        if (argv := prepared(self.job, self.flags)) is None:
            return
        threads = os.environ.get("OMP_NUM_THREADS") or os.environ.get("SLURM_CPUS_PER_TASK", "1")
        self.child = Child(argv, {"OMP_NUM_THREADS": threads}, quiet=False)
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
        """Lets the run save its state, and returns what Slurm shall start again: the same."""
        from submitit.helpers import DelayedSubmission

        if self.child is not None and self.ending is not None:
            self.child.process.terminate()
            self.ending.join(SAVED)
        return DelayedSubmission(Task(self.job, self.flags))


def check(sweep: Mapping[str, Any], device: Mapping[str, Any]) -> None:
    """Refuses a machine from which nothing can be submitted, and what Slurm does not do.

    Raises:
        Mistake: Slurm or submitit is not installed, or a setting is for a sweep here.
    """
    if sweep["fail_fast"]:
        raise Mistake("`sweep.fail_fast` must be false where `sweep.on` is slurm, but is true", "scancel ends jobs")
    if sweep["slurm"]["time"] > YEAR:
        raise Mistake(f"`sweep.slurm.time` must be at most a year, {YEAR} minutes, but is {sweep['slurm']['time']}")
    if device["num_nodes"] > 1:
        must = f"`device.num_nodes` must be 1 where `sweep.on` is slurm, but is {device['num_nodes']}"
        raise Mistake(must, "a job of your own, in which srun starts dgmrun train run=DIR on each machine")
    if shutil.which("sbatch") is None:
        raise Mistake("`sweep.on` must be here on a machine without Slurm's sbatch, but is slurm", "sweep.on=here")
    try:
        import submitit  # noqa: F401
    except ModuleNotFoundError:
        raise Mistake("`sweep.on` must be here without submitit, but is slurm", "pip install 'dgmrun[slurm]'") from None


def enqueue(jobs: Sequence[Job], folder: Path, flags: Sequence[str]) -> None:
    """Gives to Slurm those jobs that are not done and that it does not have yet.

    Raises:
        Mistake: Slurm or submitit is not installed, or a setting is not one of theirs.
        RunFailed: Slurm takes no jobs.
    """
    config = jobs[0].config
    check(config["sweep"], config["device"])
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        found = {path: f"{state} before" for path, state in queue.queued(job.path for job in jobs).items()}
        waiting = [job for job in jobs if job.path not in found and _is_unfinished(job, flags)]
        try:
            numbers = submit([Task(job, flags) for job in waiting], folder, config["sweep"], config["device"])
        except BaseException:
            for job in waiting:
                withdraw(job)
            raise
        for job, number in zip(waiting, numbers, strict=True):
            queue.note(job.path, number)
            found[job.path] = "queued"
    for job in jobs:
        job.state = found.get(job.path, job.state)


def _is_unfinished(job: Job, flags: Sequence[str]) -> bool:
    """Makes the directory of a job; returns whether something is left to do there, and says so in its state if not."""
    try:
        is_done = prepared(job, flags) is None
    except Exception as error:  # the directory may hold anything
        job.state, job.error = "refused", str(error) or type(error).__name__
        return False
    job.state = "done before" if is_done else job.state
    return not is_done


def submit(tasks: Sequence[Task], folder: Path, sweep: Mapping[str, Any], device: Mapping[str, Any]) -> list[str]:
    """Submits an array of jobs, `sweep.jobs` of which run at a time; returns the number of each.

    Args:
        tasks: the jobs.
        folder: the directory of the sweep.
        sweep: the section of the configuration.
        device: the same, of every job.

    Raises:
        Mistake: a setting is not one of Slurm's.
        RunFailed: Slurm takes no jobs.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError

    if not tasks:
        return []
    logs = folder / queue.LOGS
    executor, before = SlurmExecutor(logs, max_num_timeout=TIMES), {*logs.glob("*")}
    executor.update_parameters(**parameters(folder.name, sweep, device))
    try:
        with redirect_stderr(StringIO()), executor.batch():
            jobs = [executor.submit(task) for task in tasks]
    except FailedJobError as error:
        for file in {*logs.glob("*")} - before:
            file.unlink()
        told = SBATCH.findall(str(error)) or str(error).split("\n")
        cure = "sinfo shows what it has, sacctmgr show assoc what is yours"
        raise RunFailed(f"Slurm must take jobs as `sweep.slurm` says, but: {told[-1]}", cure) from None
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
        "nodes": 1,
        "ntasks_per_node": 1,
        "array_parallelism": sweep["jobs"],
        "srun_args": [f"--cpus-per-task={slurm['cpus_per_task']}"],  # which srun no longer takes from sbatch
        "additional_parameters": {"requeue": True, **_options(slurm["options"])},
    }


def _options(text: str) -> dict[str, str | bool]:
    """Returns options of sbatch by name.

    Raises:
        Mistake: one does not begin with two dashes.
    """
    words = shlex.split(text)
    for word in words:
        if not word.startswith("--"):
            must = f"`sweep.slurm.options` must be options of sbatch with two dashes, but has {word}"
            raise Mistake(must, "'sweep.slurm.options=--account=NAME --qos=NAME'")
    return {name: value if is_given else True for name, is_given, value in (word[2:].partition("=") for word in words)}
