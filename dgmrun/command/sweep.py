"""Sweeps: a Hydra launcher that executes each job in a fresh process, `sweep.jobs` at a time.

The directory of a job is named after a hash of the settings that define the run. If the same sweep is started again, it
skips completed jobs, resumes interrupted ones and starts missing ones. A job that crashes does not affect the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dgmrun.children import Child
from dgmrun.errors import INTERRUPTED, Mistake, RunFailed
from dgmrun.paths import MADE_BY, leaves, literal, quoted, remove_empty, with_paths
from dgmrun.report import sweep as report
from dgmrun.run.directory import Run, fingerprint
from dgmrun.stages import changeable, unfinished

_fingerprint = cache(fingerprint)
TARGET = "hydra_plugins.dgmrun.ProcessLauncher"
"""Import path of the launcher: Hydra accepts plugins only from its own namespace."""
FIXED = ("run", "stages", "trainer")
"""Sections that may be overridden for an existing run, but in which a job must agree with the run in its directory."""


@contextmanager
def registered(search_path: Sequence[Path]) -> Iterator[None]:
    """Registers the launcher with Hydra as `process`; removes what Hydra itself writes to the sweep directory."""
    Plugins.instance().class_name_to_class[TARGET] = ProcessLauncher
    node = {"_target_": TARGET, "search_path": [str(folder) for folder in search_path]}
    ConfigStore.instance().store(group="hydra/launcher", name="process", node=node)
    try:
        yield
    finally:
        for folder in ProcessLauncher.folders:
            with suppress(OSError):
                (folder / "multirun.yaml").unlink()
            remove_empty(folder)


@dataclass
class Job:
    """One run of a sweep.

    Args:
        path: the run directory.
        config: the resolved configuration.
        overrides: the overrides of this job.
        state: what has become of it.
        error: why it is not done.
        seconds: how long it took.
        value: its validation, in a search.
        is_pruned: whether a search has ended it, as it validates worse than others.
        child: its process, while it runs.
    """

    path: Path
    config: dict[str, Any]
    overrides: list[str]
    state: str = "not started"
    error: str = ""
    seconds: float = 0.0
    value: float | None = None
    is_pruned: bool = False
    child: Child | None = field(default=None, repr=False)


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
        """Executes the jobs, prints their results, and fails unless all are done.

        Raises:
            Mistake: a job does not compose, or two would share a directory; nothing was started.
            RunFailed: a job is not done.
        """
        jobs = unique([self._job(list(overrides)) for overrides in job_overrides])
        pool = Pool(jobs, self.config.sweep.jobs, self.config.sweep.fail_fast, self.flags)
        pool.run()
        report.show_jobs(jobs)
        if pool.is_interrupted:
            raise KeyboardInterrupt
        if lost := [job for job in jobs if not job.state.startswith("done")]:
            raise RunFailed(
                f"{len(lost)} of {len(jobs)} jobs are not done",
                "the same command again skips what is done and runs the rest; run.log of a job says more",
            )
        return [JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED) for job in jobs]

    def _job(self, overrides: list[str]) -> Job:
        config, _ = self.compose([*self.config.hydra.overrides.hydra, *overrides])
        return Job(self.folder / run_hash(config), config, list(filter_overrides(overrides)))


def run_hash(config: Mapping[str, Any]) -> str:
    """Returns 12 hex digits of a hash of the settings that define a run; paths enter by the contents of their files.

    Raises:
        Mistake: there is nothing at a path.
    """
    named = with_paths({key: config[key] for key in MADE_BY}, _fingerprint)
    hashed = json.loads(json.dumps(named), parse_float=_number)
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:12]


def _number(text: str) -> float:
    """Converts integral numbers to integers, so that 1 and 1.0 have the same hash."""
    value = float(text)
    return int(value) if value.is_integer() else value


def unique(jobs: Sequence[Job]) -> list[Job]:
    """Returns the jobs without repetitions.

    Raises:
        Mistake: two jobs differ, but only in settings that do not define a run.
    """
    kept: dict[Path, Job] = {}
    for job in jobs:
        other = kept.setdefault(job.path, job)
        if _made(other.config) != _made(job.config):
            apart = sorted(set(job.overrides) ^ set(other.overrides))
            key = apart[0].partition("=")[0]
            values = " ".join(one.partition("=")[2] for one in apart if one.startswith(f"{key}="))
            raise Mistake(
                f"`{key}` makes no other run and cannot be swept: {' and '.join(apart)} would share a directory",
                f"for value in {values}; do dgmrun ... {key}=$value; done",
            )
    return list(kept.values())


def _made(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "sweep"}


class Pool:
    """Executes jobs, each in a separate process, `width` at a time.

    Args:
        jobs: the jobs, whose state is updated.
        width: number of processes at a time, at least 1.
        fail_fast: whether no further job is started once one has failed.
        flags: Hydra flags for every job.
    """

    def __init__(self, jobs: Sequence[Job], width: int, fail_fast: bool, flags: Sequence[str]) -> None:
        self.jobs, self.width, self.fail_fast, self.flags = list(jobs), width, fail_fast, flags
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
            self.is_stopped.set()
            for child in self._running():
                child.interrupt()
            executor.shutdown(wait=True)
        finally:
            self.is_stopped.set()
            for child in self._running():
                child.process.kill()
            executor.shutdown(wait=True)

    def work(self) -> list[Callable[[], None]]:
        """Returns a call for each job that executes it."""
        return [partial(self.do, number, len(self.jobs), job) for number, job in enumerate(self.jobs, 1)]

    def wait(self, job: Job) -> None:
        """Waits for the process of a job."""
        assert job.child is not None
        job.child.process.wait()

    def _running(self) -> list[Child]:
        return [job.child for job in self.jobs if job.child is not None]

    def do(self, number: int, total: int, job: Job) -> None:
        """Executes a job, unless the sweep was stopped, and tells how that went."""
        name = f"[{number}/{total}] {report.settings(job, self.jobs) or job.path.name}"
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
        run = Run.prepare(job.path, job.config)
        stages = unfinished(Run.open(job.path), job.config)
        if not stages and run.is_claimed:
            job.state = "done before"
            return
        report.tell(f"{name}: {os.path.relpath(job.path)}")
        started = time.monotonic()
        job.child = Child(self._argv(job, stages), self._environment(), quiet=True)
        if self.is_interrupted:
            job.child.interrupt()
        self.wait(job)
        job.seconds = time.monotonic() - started
        child, job.child = job.child, None
        job.state, job.error = ("pruned", "") if job.is_pruned else _outcome(child)
        child.close()
        if not run.is_claimed:
            _withdraw(run)

    def _argv(self, job: Job, stages: Sequence[str]) -> list[str]:
        """Returns the arguments that open the run of a job, with the settings that differ from the saved ones."""
        saved = dict(leaves(Run.open(job.path).config))
        wanted = {key: value for key, value in leaves(job.config) if key.split(".")[0] in changeable() - {*FIXED}}
        changes = [f"{key}={literal(value)}" for key, value in wanted.items() if saved.get(key) != value]
        return [*self.flags, quoted(f"run={job.path}"), *changes, f"stages=[{','.join(stages)}]"]

    def _environment(self) -> dict[str, str]:
        """Divides the cores among concurrent jobs."""
        threads = max(1, len(os.sched_getaffinity(0)) // self.width)
        return {} if self.width == 1 else {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}


def _outcome(child: Child) -> tuple[str, str]:
    failure = child.failure()
    if failure is None:
        return "done", ""
    states = {1: "failed", 2: "refused", INTERRUPTED: "interrupted"}
    return "killed" if child.process.returncode < 0 else states[failure.status], str(failure)


def _withdraw(run: Run) -> None:
    """Removes a directory in which no run was created."""
    (run.path / "config.yaml").unlink(missing_ok=True)
    remove_empty(run.path)
