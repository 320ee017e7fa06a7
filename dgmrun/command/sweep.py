"""Sweeps: a Hydra launcher that executes each job in a process of its own, here or on Slurm, `sweep.jobs` at a time.

The directory of a job is named after a hash of the settings that define the run. If the same sweep is started again, it
skips completed jobs, resumes interrupted ones and starts missing ones. A job that crashes does not affect the others.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dgmrun.children import Child, inherited
from dgmrun.command import forks, slurm
from dgmrun.command.jobs import Job, prepared, run_hash, unique, withdraw
from dgmrun.errors import INTERRUPTED, RunFailed
from dgmrun.paths import remove_empty
from dgmrun.report import sweep as report

TARGET = "hydra_plugins.dgmrun.ProcessLauncher"
"""Import path of the launcher: Hydra accepts plugins only from its own namespace."""
SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@contextmanager
def registered(search_path: Sequence[Path]) -> Iterator[None]:
    """Registers the launcher with Hydra as `process`; removes what Hydra itself writes to the sweep directory.

    Hydra's sweeper would compose each job before the launcher does, which is most of the time that a sweep takes.
    """
    plugins = Plugins.instance().class_name_to_class
    plugins[TARGET] = ProcessLauncher
    plugins[SWEEPER].validate_batch_is_legal = lambda *_: None  # type: ignore[attr-defined]
    node = {"_target_": TARGET, "search_path": [str(folder) for folder in search_path]}
    ConfigStore.instance().store(group="hydra/launcher", name="process", node=node)
    try:
        yield
    finally:
        for folder in ProcessLauncher.folders:
            with suppress(OSError):
                (folder / "multirun.yaml").unlink()
            remove_empty(folder)


class ProcessLauncher(Launcher):
    """The launcher, created by Hydra, which passes it the overrides of all jobs.

    Args:
        search_path: the user's directory of configuration files, if any, for the jobs.
    """

    folders: ClassVar[list[Path]] = []

    def __init__(self, search_path: Sequence[str]) -> None:
        self.flags = [f"--config-dir={folder}" for folder in search_path]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Stores Hydra's objects; `task_function` composes a configuration from overrides."""
        self.compose, self.config = task_function, config
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.folders.append(self.folder)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Executes the jobs, prints their results, and fails unless all are done; or gives them to Slurm.

        Raises:
            Mistake: a job does not compose, or two would share a directory; nothing was started.
            RunFailed: a job is not done.
        """
        jobs = unique([self._job(list(overrides)) for overrides in job_overrides])
        if self.config.sweep.on == "slurm":
            slurm.enqueue(jobs, self.folder, self.flags)
            report.show_jobs(jobs)
        else:
            pool = Jobs(jobs, self.config.sweep, self.flags)
            pool.run()
            report.show_jobs(jobs)
            if pool.is_interrupted:
                raise KeyboardInterrupt
        if lost := [job for job in jobs if not job.state.startswith(("done", "queued", "running"))]:
            again = "the same command again skips what is done and runs the rest; run.log of a job says more"
            is_any = any(job.state != "refused" for job in jobs)  # the folders of those are withdrawn
            raise RunFailed(f"{len(lost)} of {len(jobs)} jobs are not done", again if is_any else None)
        return [JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED) for job in jobs]

    def _job(self, overrides: list[str]) -> Job:
        config, _ = self.compose([*self.config.hydra.overrides.hydra, *overrides])
        return Job(self.folder / run_hash(config), config, list(filter_overrides(overrides)))


class Pool(ABC):
    """Executes jobs, each in a separate process, `sweep.jobs` at a time.

    Args:
        jobs: the jobs, whose state is updated; those that are known from the start.
        sweep: the section of the configuration.
        flags: Hydra flags for every job.
    """

    def __init__(self, jobs: Sequence[Job], sweep: Mapping[str, Any], flags: Sequence[str]) -> None:
        self.jobs, self.width, self.fail_fast, self.flags = list(jobs), sweep["jobs"], sweep["fail_fast"], flags
        is_forked = forks.can_fork() and not sweep["fresh"]
        self.server = forks.Server(inherited(self._environment())) if is_forked else None
        self.is_stopped = threading.Event()
        self.is_interrupted = False

    def run(self) -> None:
        """Executes all jobs. Ctrl-C lets running jobs save their state; a second one ends them at once."""
        executor = ThreadPoolExecutor(self.width)
        try:
            for future in [executor.submit(call) for call in self.work()]:
                future.result()
        except KeyboardInterrupt:
            self.is_interrupted = True
            for child in self._stopped():
                child.interrupt()
            executor.shutdown(wait=True)
        finally:
            for child in self._stopped():
                child.process.kill()
            executor.shutdown(wait=True)
            if self.server is not None:
                self.server.close()

    @abstractmethod
    def work(self) -> list[Callable[[], None]]:
        """Returns a call for each job that executes it."""

    @abstractmethod
    def wait(self, job: Job) -> None:
        """Waits for the process of a job."""

    @abstractmethod
    def shown_settings(self, job: Job) -> str:
        """Returns what tells a job from others."""

    def _stopped(self) -> list[Child]:
        """Starts no further job, and forks none; returns the processes of those that are running."""
        self.is_stopped.set()
        if self.server is not None:
            self.server.stop()
        return [job.child for job in self.jobs if job.child is not None]

    def do(self, number: int, total: int, job: Job) -> None:
        """Executes a job, unless the sweep was stopped, and tells how that went."""
        name = f"[{number}/{total}] {self.shown_settings(job) or job.path.name}"
        try:
            if not self.is_stopped.is_set():
                self._execute(job, name)
        except Exception as error:  # the directory may hold anything
            job.state, job.error = "refused", str(error) or type(error).__name__
        if job.state != "not started":
            report.tell(f"{name}: {job.state}")
        if self.fail_fast and not job.state.startswith(("done", "pruned")):
            self.is_stopped.set()

    def _execute(self, job: Job, name: str) -> None:
        if (argv := prepared(job, self.flags)) is None:
            job.state = "done before"
            return
        report.tell(f"{name}: {os.path.relpath(job.path)}")
        started = time.monotonic()
        fork = None if self.server is None else self.server.fork
        job.child = Child(argv, self._environment(), quiet=True, fork=fork)
        if self.is_interrupted:
            job.child.interrupt()
        self.wait(job)
        job.seconds = time.monotonic() - started
        child, job.child = job.child, None
        job.state, job.error = ("pruned", "") if job.is_pruned else _outcome(child)
        child.close()
        withdraw(job)

    def _environment(self) -> dict[str, str]:
        """Divides the cores among concurrent jobs."""
        threads = max(1, len(os.sched_getaffinity(0)) // self.width)
        return {} if self.width == 1 else {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}


class Jobs(Pool):
    """Executes the jobs of a sweep, all of which are known from the start."""

    def work(self) -> list[Callable[[], None]]:
        """Returns a call for each job that executes it."""
        return [partial(self.do, number, len(self.jobs), job) for number, job in enumerate(self.jobs, 1)]

    def wait(self, job: Job) -> None:
        """Waits for the process of a job."""
        assert job.child is not None
        job.child.process.wait()

    def shown_settings(self, job: Job) -> str:
        """Returns the settings that not all jobs have."""
        return report.settings(job, self.jobs)


def _outcome(child: Child) -> tuple[str, str]:
    failure = child.failure()
    if failure is None:
        return "done", ""
    states = {1: "failed", 2: "refused", INTERRUPTED: "interrupted"}
    is_killed = child.process.returncode < 0 and failure.status != INTERRUPTED
    return "killed" if is_killed else states[failure.status], str(failure)
