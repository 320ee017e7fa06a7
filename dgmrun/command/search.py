"""Searches: sweeps whose settings Optuna suggests, `sweep.jobs` trials at a time.

A trial is a job as in any other sweep. The study is a journal file beside the runs, so that the same command again goes
on with it, also after a kill: finished trials count, and those that were in flight are taken up first.

References:
    Akiba, Sano, Yanase, Ohta and Koyama (2019), Optuna: a next-generation hyperparameter optimization framework.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dgmrun.command import compose
from dgmrun.command.arguments import Arguments, split
from dgmrun.command.space import GOALS, Compose, Plan, plan
from dgmrun.command.sweep import Job, Pool, run_hash
from dgmrun.errors import Mistake, RunFailed
from dgmrun.report import sweep as report
from dgmrun.run.metrics import curves

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

JOURNAL = "search.journal"
STATES = {"COMPLETE": "done", "FAIL": "failed"}
PAUSE = 1.0
"""Seconds between looks at the validation of a running trial."""


def is_search(arguments: Arguments) -> bool:
    """Returns whether a sweep is a search."""
    return any(split(one) == ("search", "optuna") for one in arguments.overrides)


def run(arguments: Arguments) -> None:
    """Executes the trials, prints them with their figures, and says which is best.

    Raises:
        Mistake: a setting is invalid; nothing was started.
        RunFailed: no trial was completed.
    """
    if find_spec("optuna") is None:
        raise Mistake("`search` must be null without Optuna, but is optuna", "pip install 'dgmrun[search]'")
    with compose.composer(arguments) as composed:
        found = plan(arguments, composed)
        study = _study(found)
        trials = Trials(study, found, composed, [f"--config-dir={folder}" for folder in arguments.search_path])
        trials.run()
        report.show_jobs(trials.jobs, {"validation": [trials.shown(job) for job in trials.jobs]})
        if trials.is_interrupted:
            raise KeyboardInterrupt
        trials.say_best()


def _study(found: Plan) -> Study:
    """Opens the study of a directory, with a sampler that repeats no suggestion of before.

    Raises:
        Mistake: the directory has a study of other ranges.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.captureWarnings(True)
    found.folder.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(found.folder / JOURNAL)))
    study = optuna.create_study(storage=storage, study_name="dgmrun", load_if_exists=True)
    what = {
        "space": sorted(map(repr, found.space.items())),
        "fixed": sorted(found.fixed),
        "goal": found.settings["goal"],
    }
    if study.user_attrs.setdefault("what", what) != what:
        raise Mistake(
            f"`sweep.name` must be another one, as {found.folder} has a search of other settings", "sweep.name=NAME"
        )
    study.set_user_attr("what", what)
    seed = len(study.trials)
    if found.settings["sampler"] == "random":
        study.sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True)
    study.pruner = optuna.pruners.MedianPruner() if found.settings["prune"] else optuna.pruners.NopPruner()
    return study


class Trials(Pool):
    """Executes trials as the jobs of a sweep.

    Args:
        study: suggests settings, and keeps them with their validation.
        found: what is searched.
        composed: composes a configuration from overrides.
        flags: Hydra flags for every job.
    """

    def __init__(self, study: Study, found: Plan, composed: Compose, flags: Sequence[str]) -> None:
        super().__init__([], found.sweep["jobs"], found.sweep["fail_fast"], flags)
        self.study, self.found, self.composed = study, found, composed
        self.lock = threading.Lock()
        self.trial_of: dict[int, Trial] = {}

    def work(self) -> list[Callable[[], None]]:
        """Returns a call for each trial that is not finished, those that were in flight first."""
        from optuna.trial import Trial, TrialState

        begun = self.study.get_trials(deepcopy=False)
        waiting = [Trial(self.study, one._trial_id) for one in begun if one.state == TrialState.RUNNING]
        for one in begun:
            if one.state.is_finished():
                self._before(one)
        fresh = max(0, self.found.settings["trials"] - len(begun))
        return [*(partial(self._trial, one) for one in waiting), *[partial(self._trial, None)] * fresh]

    def _before(self, one: Any) -> None:
        """Lists a trial that was finished before."""
        job = self._job(one.params)
        job.state, job.value = f"{STATES.get(one.state.name, one.state.name.lower())} before", one.value
        self.jobs.append(job)

    def _trial(self, trial: Trial | None) -> None:
        """Executes one trial, new or taken up, and tells the study of it unless it is interrupted."""
        from optuna.trial import TrialState

        if self.is_stopped.is_set():
            return
        with self.lock:
            trial = trial or self.study.ask(self.found.space)
            job = self._job(trial.params)
            self.jobs.append(job)
            self.trial_of[id(job)] = trial
        self.do(trial.number + 1, self.found.settings["trials"], job)
        with self.lock:
            try:
                job.value = self._validated(job) if job.state in ("done", "done before") else None
            except Mistake as error:
                job.state, job.error = "refused", str(error)
            states = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL, "refused": TrialState.FAIL}
            if job.value is not None or job.state in states:
                self.study.tell(trial, job.value, states.get(job.state))

    def _job(self, params: dict[str, Any]) -> Job:
        shown = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in params.items()}
        overrides = [*self.found.fixed, *(f"{key}={value}" for key, value in shown.items())]
        config, _ = self.composed(overrides)
        return Job(self.found.folder / run_hash(config), config, overrides)

    def _validated(self, job: Job) -> float:
        """Returns the last validation of a trial.

        Raises:
            Mistake: it has another figure than the trials before it, or none.
        """
        name, values = self._validations(job)
        if name is None or self.study.user_attrs.setdefault("figure", name) != name:
            must = f"`search.goal` must be a figure of every trial, but {job.path} has {name or 'none'}"
            raise Mistake(f"{must} where others have {self.study.user_attrs['figure']}" if name else must)
        self.study.set_user_attr("figure", name)
        return values[-1][1]

    def _validations(self, job: Job) -> tuple[str | None, list[tuple[int, float]]]:
        """Returns the name of the figure to minimise, and its values so far, by step."""
        found, goal = curves(job.path), self.found.settings["goal"]
        name = next((name for name in (GOALS if goal is None else (goal,)) if name in found), None)
        return name, found[name] if name else []

    def wait(self, job: Job) -> None:
        """Waits for the process of a job, and ends it if it validates worse than others did at the same step."""
        assert job.child is not None
        trial, seen = self.trial_of[id(job)], 0
        while True:
            with suppress(subprocess.TimeoutExpired):
                job.child.process.wait(PAUSE)
                return
            for step, value in self._validations(job)[1][seen:]:
                seen += 1
                with self.lock:
                    trial.report(value, step)
                    is_hopeless = trial.should_prune()
                if is_hopeless and not job.is_pruned:
                    job.is_pruned = True
                    job.child.interrupt()

    @staticmethod
    def shown(job: Job) -> str:
        """Formats the figure of a job."""
        return "-" if job.value is None else f"{job.value:.3f}"

    def say_best(self) -> None:
        """Says which trial is best, and how a run is made with its settings.

        Raises:
            RunFailed: no trial was completed.
        """
        done = [job for job in self.jobs if job.value is not None]
        if not done:
            raise RunFailed("no trial of the search is done", "run.log of a trial says more")
        best = min(done, key=lambda job: (job.value, str(job.path)))
        report.show_best(best, self.found.space, self.shown(best))
