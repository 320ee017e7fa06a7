"""Searches: sweeps whose settings Optuna suggests, `sweep.jobs` trials at a time.

A trial is a job as in any other sweep. The study is a journal file beside the runs, so that the same command again goes
on with it, also after a kill: finished trials count, and those that were in flight are taken up first.

References:
    Akiba, Sano, Yanase, Ohta and Koyama (2019), Optuna: a next-generation hyperparameter optimization framework.
"""

from __future__ import annotations

import shlex
import subprocess
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgmrun.command import compose
from dgmrun.command.arguments import Arguments, split
from dgmrun.command.jobs import Job, run_hash
from dgmrun.command.space import GOALS, Compose, Plan, plan
from dgmrun.command.sweep import Pool
from dgmrun.errors import Mistake, RunFailed
from dgmrun.paths import options, short
from dgmrun.report import sweep as report
from dgmrun.run.files import replace
from dgmrun.run.locks import locked
from dgmrun.run.metrics import METRICS, curves

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

JOURNAL = "search.journal"
STATES = {"COMPLETE": "done", "FAIL": "failed"}
PAUSE = 1.0
"""Seconds between looks at the validation of a running trial."""


def is_search(arguments: Arguments) -> bool:
    """Returns whether a sweep is a search: by a word of the command, or by its experiment's file."""
    files = options("experiment", arguments.search_path)
    chosen = [value for key, value in map(split, arguments.overrides) if key == "experiment" and value in files]
    named = any(split(one) == ("search", "optuna") for one in arguments.overrides)
    return named or any("override /search: optuna" in files[name].read_text() for name in chosen)


def run(arguments: Arguments) -> None:
    """Executes the trials, prints them with their figures, and says which is best.

    Raises:
        Mistake: a setting is invalid, or the same search is running; nothing was started.
        RunFailed: no trial was completed.
    """
    if find_spec("optuna") is None:
        raise Mistake("`search` must be null without Optuna, but is optuna", "pip install 'dgmrun[search]'")
    with compose.composer(arguments) as composed:
        found = plan(arguments, composed)
        found.folder.mkdir(parents=True, exist_ok=True)
        flags = [f"--config-dir={folder}" for folder in arguments.search_path]
        try:
            with locked(found.folder, wait=False):
                trials = Trials(_study(found), found, composed, flags)
                trials.run()
        except BlockingIOError:
            must = f"`sweep.name` must be another one, as a live process is searching in {found.folder}"
            raise Mistake(must, "sweep.name=NAME") from None
        report.show_jobs(trials.jobs, {"validation": [trials.shown(job) for job in trials.jobs]})
        if trials.is_interrupted:
            raise KeyboardInterrupt
        trials.say_best()


def _whole(journal: Path) -> Path:
    """Takes from a journal the line that a kill left half written, as Optuna would add the next line to it."""
    content = journal.read_bytes() if journal.exists() else b""
    if not content.endswith(b"\n") and content:
        replace(journal, content[: content.rfind(b"\n") + 1])
    return journal


def _study(found: Plan) -> Study:
    """Opens the study of a directory, with a sampler that repeats no suggestion of before.

    Raises:
        Mistake: the directory has a study of other ranges, or one that cannot be read.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = found.folder / JOURNAL
    try:
        storage = JournalStorage(JournalFileBackend(str(_whole(journal))))
        study = optuna.create_study(storage=storage, study_name="dgmrun", load_if_exists=True)
    except ValueError as error:
        must = f"`sweep.name` must be of a search whose journal can be read, but {short(journal)} cannot: {error}"
        raise Mistake(
            must, f"rm {shlex.quote(short(journal))} and the same command: trials that are done count"
        ) from None
    what = {
        "space": sorted(map(repr, found.space.items())),
        "fixed": sorted(found.fixed),
        "goal": found.settings["goal"],
    }
    if study.user_attrs.get("what", what) != what:
        raise Mistake(
            f"`sweep.name` must be another one, as {found.folder} has a search of other settings", "sweep.name=NAME"
        )
    study.set_user_attr("what", what)
    seed = len(study.trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
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
        composed: composes a configuration from overrides; only one thread at a time may call it.
        flags: Hydra flags for every job.
    """

    def __init__(self, study: Study, found: Plan, composed: Compose, flags: Sequence[str]) -> None:
        super().__init__([], found.sweep, flags)
        self.study, self.found, self.composed = study, found, composed
        self.lock = threading.Lock()
        self.turns: dict[Path, threading.Lock] = {}
        """Of each directory, so that of equal trials at once the second finds what the first has done."""
        self.trials: dict[int, Trial] = {}
        """New trials by the identity of their jobs; only these can be ended early."""

    def work(self) -> list[Callable[[], None]]:
        """Returns a call for each trial that is not finished, those that were in flight first."""
        begun = self.study.get_trials(deepcopy=False)
        for one in begun:
            if one.state.is_finished():
                self._before(one)
        waiting = [partial(self._trial, one) for one in begun if not one.state.is_finished()]
        fresh = max(0, self.found.settings["trials"] - len(begun))
        return [*waiting, *[partial(self._trial, None)] * fresh]

    def _before(self, one: FrozenTrial) -> None:
        """Lists a trial that was finished before."""
        job = self._job(one.params)
        job.state = f"{STATES.get(one.state.name, one.state.name.lower())} before"
        job.value = one.value if one.state.name == "COMPLETE" else None
        self.jobs.append(job)

    def _trial(self, begun: FrozenTrial | None) -> None:
        """Executes one trial, new or taken up, and tells the study of it unless it is interrupted."""
        if self.is_stopped.is_set():
            return
        with self.lock:
            trial = begun or self.study.ask(self.found.space)
            job = self._job(trial.params)
            self.jobs.append(job)
            if begun is None:
                self.trials[id(job)] = trial  # type: ignore[assignment]
            turn = self.turns.setdefault(job.path, threading.Lock())
        if job.state == "not started":
            with turn:
                self.do(trial.number + 1, self.found.settings["trials"], job)
        with self.lock:
            self._tell(trial.number, job)

    def _tell(self, number: int, job: Job) -> None:
        """Tells the study what became of a trial; the study keeps one that was interrupted for the next time."""
        from optuna.trial import TrialState

        if job.state in ("done", "done before"):
            name, values = self._validations(job)
            if values:
                job.value = values[-1][1]
            else:
                job.state, job.error = "refused", f"`search.goal` must be a figure of every trial, but is {name}"
                self.is_stopped.set()
        states = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL, "refused": TrialState.FAIL}
        if job.value is not None or job.state in states:
            self.study.tell(number, job.value, states.get(job.state))

    def _job(self, params: dict[str, Any]) -> Job:
        """Returns the job of a trial; one whose settings do not compose is refused."""
        shown = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in params.items()}
        overrides = [*self.found.fixed, *(f"{key}={value}" for key, value in shown.items())]
        try:
            if params.keys() != self.found.space.keys():
                raise Mistake("it was cut off before it had its settings")
            config, _ = self.composed(overrides)
        except Mistake as error:
            return Job(self.found.folder / "none", {}, overrides, state="refused", error=str(error))
        return Job(self.found.folder / run_hash(config), config, overrides)

    def _validations(self, job: Job) -> tuple[str, list[tuple[int, float]]]:
        """Returns the figure that is minimised, which the first trial decides, and its values so far, by step."""
        found, goal = curves(job.path), self.found.settings["goal"]
        known = self.study.user_attrs.get("figure") or goal
        name = known or next((name for name in GOALS if name in found), None)
        if name in found and "figure" not in self.study.user_attrs:
            self.study.set_user_attr("figure", name)
        return name or " or ".join(GOALS), found.get(name or "", [])

    def wait(self, job: Job) -> None:
        """Waits for the process of a job, and ends it if it validates worse than others did at the same step."""
        assert job.child is not None
        seen, size = 0, 0
        while True:
            with suppress(subprocess.TimeoutExpired):
                job.child.process.wait(PAUSE)
                return
            if (now := _size(job.path / METRICS)) == size or (trial := self.trials.get(id(job))) is None:
                continue
            size = now
            with self.lock:
                values = self._validations(job)[1]
                for step, value in values[seen:]:
                    trial.report(value, step)
                    if trial.should_prune() and not job.is_pruned:
                        job.is_pruned = True
                        job.child.interrupt()
            seen = len(values)

    def shown_settings(self, job: Job) -> str:
        """Returns what the study has chosen, also where all trials have the same so far."""
        return report.chosen(job, self.found.space)

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


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
