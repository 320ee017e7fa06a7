"""A command's way through a run: create it or take it up, then do its stages."""

from __future__ import annotations

import shlex
from pathlib import Path

from dgmrun import children
from dgmrun.errors import Busy, Interrupted, Mistake
from dgmrun.report import hparams
from dgmrun.run.directory import Run
from dgmrun.run.files import now
from dgmrun.stages import finish, stage, unfinished
from dgmrun.workbench import provenance, start
from dgmrun.workbench.setup import Setup


def create(setup: Setup, path: Path, command: str) -> Run:
    """Makes a run, after everything that can be checked without training.

    Args:
        setup: its configuration, `choices` included.
        path: the directory to claim.
        command: what the user typed.

    Raises:
        Mistake: names the key that cannot be.
    """
    if setup.config["device"]["num_nodes"] > 1 and "train" in setup.config["stages"]:
        raise Mistake(
            "`run` must be given where `device.num_nodes` is above 1, as all nodes train one run",
            "dgmrun ... stages=[] makes it; then on every node dgmrun train run=DIR",
        )
    check(setup, setup.config["stages"], has_weights=bool(setup.config["weights"]))
    given = start.given_weights(setup)
    run = Run.create(path, setup.config, provenance.results(setup, command))
    if given is not None:
        run.save_weights(given)
    return run


def take_up(setup: Setup, path: Path, named: bool) -> tuple[Run, list[str]]:
    """Opens a run to do its stages, or, where the user named none, what it was made for and has not finished.

    A rank opens what the process that started it has checked.

    Raises:
        Mistake: it is no run, cannot have a stage, or its data are no longer what they were.
    """
    run, stages = Run.open(path), list(setup.config["stages"])
    if children.is_rank():
        return run, stages
    if not named:
        stages = unfinished(run, setup.config)
    has_weights = run.weights_file.exists()
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
    return run, stages


def check(setup: Setup, stages: list[str], has_weights: bool) -> None:
    """Refuses what this configuration cannot do, without training.

    Raises:
        Mistake: names the key.
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
    """Runs the stages one after another, keeps `status` true and notes each stage that is finished.

    Ranks, and nodes other than the first, only train: the first process of all does the rest.
    """
    if children.is_rank() or children.node() > 0:
        stage("train").main(run, setup)
        return
    run.merge({"status": "running", "error": None})
    try:
        for word in stages:
            stage(word).main(run, setup)
            finish(run, word, setup.config)
        hparams.write(run)
    except Busy:
        raise
    except (KeyboardInterrupt, Interrupted):
        run.merge({"status": "interrupted", "finished": now()})
        raise
    except BaseException as error:
        run.merge({"status": "failed", "error": str(error) or type(error).__name__, "finished": now()})
        raise
    run.merge({"status": "done", "finished": now()})
