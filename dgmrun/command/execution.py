"""Execution of a command: creates or opens a run, then executes its stages."""

from __future__ import annotations

import logging
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from dgmrun import children
from dgmrun.command.arguments import root
from dgmrun.errors import OF_THE_SYSTEM, Busy, Interrupted, Mistake, of_the_system
from dgmrun.paths import short, value_at
from dgmrun.report import hparams
from dgmrun.report.stale import renewal
from dgmrun.report.terminal import human
from dgmrun.run.directory import Run
from dgmrun.run.files import now, thawed
from dgmrun.stages import FOUND_ANEW, finish, stage, unfinished
from dgmrun.workbench import provenance, start
from dgmrun.workbench.inputs import TEACHER, check_teachers
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")


def create(setup: Setup, path: Path, command: str) -> Run:
    """Creates a run, after all checks that do not require training.

    Args:
        setup: the configuration, with `choices`.
        path: the run directory.
        command: the command line, as typed.

    Raises:
        Mistake: the configuration is invalid; the message names the key.
    """
    if setup.config["device"]["num_nodes"] > 1 and "train" in setup.config["stages"]:
        raise Mistake(
            "`run` must be given where `device.num_nodes` is above 1, as all nodes train one run",
            "dgmrun ... stages=[] without device.num_nodes makes it; then on every node dgmrun train run=DIR",
        )
    given = start.given_weights(setup)
    check(setup, setup.config["stages"] or (["train"] if given is None else []), given is not None)
    results = provenance.results(setup, command)
    for doubt in results["dataset"]["doubts"]:
        log.warning("warning: %s", doubt)
    run = Run.create(path, setup.config, results)
    if given is not None:
        run.save_weights(given)
    return run


def take_up(setup: Setup, path: Path, named: bool) -> tuple[Run, list[str]]:
    """Opens an existing run; returns it with the stages to execute: those given, else those not yet completed.

    Ranks skip the checks, which the process that started them has made.

    Raises:
        Mistake: it is not a run, a stage is not possible, or its data have changed.
    """
    run, stages = Run.open(path), list(setup.config["stages"])
    if children.is_rank():
        return run, stages
    run.tidy()
    if not named:
        stages = unfinished(run, setup.config)
    has_weights = run.weights_file.exists()
    if not has_weights and "train" not in stages and run.results.get("train", {}).get("complete"):
        again = f"dgmrun train run={shlex.quote(str(run.path))} writes them anew from its last checkpoint"
        raise Mistake(f"`run` must have its weights, but {run.weights_file.name} was removed", again)
    check(setup, stages, has_weights)
    if "train" in stages:
        stage("train").check_run(run, setup)
    if has_weights:
        setup.trained_model(run)
    for name, split in provenance.splits(setup).items():
        was = run.results.get("dataset", {}).get("splits", {}).get(name)
        if was != split:
            raise Mistake(
                f"`dataset` of a run must stay what it was, but the {name} split has another sha256",
                f"dgmrun weights={shlex.quote(str(run.path))} ... starts a new run on the new data",
            )
    _settle(run, setup)
    return run, stages


def _settle(run: Run, setup: Setup) -> None:
    """Saves the paths at which the data and the teachers of a run were found anew.

    Raises:
        Mistake: a teacher is another one.
    """
    saved = run.config
    moved = [key for key in FOUND_ANEW if value_at(saved, key) != thawed(value_at(setup.config, key))]
    if TEACHER in moved:
        check_teachers(setup)
    if moved:
        run.settle({**saved, **{root(key): setup.config[root(key)] for key in moved}})


def check(setup: Setup, stages: list[str], has_weights: bool) -> None:
    """Refuses what this configuration does not permit, without training.

    Raises:
        Mistake: the configuration is invalid; the message names the key.
    """
    setup.check()
    for word in stages:
        module = stage(word)
        has_weights |= word == "train"
        if not has_weights:
            raise Mistake(f"`stages` must have train before {word}, or `weights` must be given, but neither is so")
        module.check(setup)
    setup.load()


def execute(run: Run, setup: Setup, stages: list[str]) -> None:
    """Executes the stages in order, and records `status` and each completed stage.

    An evaluation that is killed, interrupted or fails leaves a completed training `done`. Ranks only do a stage, and
    machines other than the first only train; the process that started them does everything else.
    """
    if children.is_rank() or children.node() > 0:
        for word in stages if children.is_rank() else {"train"} & {*stages}:
            stage(word).main(run, setup)
        return
    word = "train" if "train" in stages else ""
    try:
        for word in stages:
            run.merge({"status": _status(run, word, "running"), "error": None})
            stage(word).main(run, setup)
            finish(run, word, setup.config)
        hparams.write(run)
    except Busy:
        raise
    except (KeyboardInterrupt, Interrupted) as error:
        run.merge({"status": _status(run, word, "interrupted"), "finished": now()})
        if isinstance(error, Interrupted) and error.hint:
            raise
        again = shlex.join(["dgmrun", *sys.argv[1:]])
        raise Interrupted(f"interrupted in {word or 'its first stage'}; what came before is saved", again) from None
    except BaseException as error:
        told = str(error) or type(error).__name__
        with suppress(OSError):  # as on a full disk
            run.merge({"status": _status(run, word, "failed"), "error": told, "finished": now()})
        if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM:
            raise of_the_system(error, run.path, f"; then dgmrun run={shlex.quote(str(run.path))}") from error
        raise
    run.merge({"status": "done", "finished": now()})


def _status(run: Run, word: str, otherwise: str) -> str:
    """Returns `done` while a stage other than train works on a completed training, or on given weights."""
    is_trained = run.weights_file.exists() and run.results.get("train", {}).get("complete", True)
    return "done" if word != "train" and is_trained else otherwise


def farewell(run: Run) -> None:
    """Says where the run is, and what may be done next: first of all, renewing what is of older weights."""
    weights = run.weights_sha256() if run.weights_file.exists() else None
    renews, folder = renewal(run.path, run.results, weights), shlex.quote(short(run.path.parent))
    log.info("\nrun         %s", short(run.path))
    log.info("disk        %s, %s of it checkpoints", human(run.size()), human(run.size("checkpoints")))
    if renews is not None:
        log.info("stale       some of its figures or samples are of older weights, which the first of these renews")
    logs = f"tensorboard --logdir {folder} --samples_per_plugin images=1000000"
    commands = filter(None, (renews, f"dgmrun compare {folder}", logs))
    for head, command in zip(("next", "", ""), commands, strict=False):
        log.info("%-11s %s", head, command)
