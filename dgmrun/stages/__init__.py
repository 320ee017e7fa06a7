"""The stage words, one file each: `check` refuses what a run cannot have before it is made, `main` does it.

check(setup)        raises Mistake
main(run, setup)    works on a claimed run and writes its figures there
"""

from __future__ import annotations

import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

from dgmrun import children
from dgmrun.errors import Busy, Interrupted, Mistake, nearest
from dgmrun.paths import words
from dgmrun.report import hparams
from dgmrun.run import weights as _weights
from dgmrun.run.directory import Run
from dgmrun.run.files import now
from dgmrun.workbench import provenance as _provenance
from dgmrun.workbench.setup import Setup

__all__ = ["Setup", "create", "execute", "take_up"]


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
    check(setup, has_weights=bool(setup.config["weights"]))
    model = setup.new_model()
    if weights := setup.config["weights"]:
        file = _weights.locate(weights)
        _weights.load(model, _weights.read(file), file)
    run = Run.create(path, setup.config, _provenance.results(setup, command))
    if weights:
        run.save_weights(model.state_dict())
    return run


def take_up(setup: Setup, path: Path, named: bool) -> Run:
    """Opens a run to do its stages, or, where the user named none, what it was made for and has not finished.

    A rank opens what the process that started it has checked.

    Raises:
        Mistake: it is no run, cannot have a stage, or its data are no longer what they were.
    """
    run = Run.open(path)
    if children.is_rank():
        return run
    if not named:
        setup.config["stages"] = run.unfinished(setup.config)
    has_weights = run.weights_file.exists()
    check(setup, has_weights)
    if "train" in setup.config["stages"]:
        _stage("train").check_run(run, setup)
    if has_weights:
        setup.trained_model(run)
    for name, split in _provenance.splits(setup).items():
        was = run.results.get("dataset", {}).get("splits", {}).get(name)
        if was != split:
            raise Mistake(
                f"`dataset` of a run must stay what it was, but the {name} split has another sha256",
                f"dgmrun weights={shlex.quote(str(run.path))} ... starts a new run on the new data",
            )
    return run


def check(setup: Setup, has_weights: bool) -> None:
    """Refuses what this configuration cannot do, without training.

    Raises:
        Mistake: names the key.
    """
    setup.device  # noqa: B018, refuses a device that is not there
    for word in setup.config["stages"]:
        stage = _stage(word)
        has_weights |= word == "train"
        if not has_weights:
            raise Mistake(f"`stages` must have train before {word}, or `weights` must be given, but neither is so")
        stage.check(setup)
    setup.splits  # noqa: B018, refuses data that are not there


def execute(run: Run, setup: Setup) -> None:
    """Runs the stages one after another, keeps `status` true and notes each stage that is finished.

    Ranks, and nodes other than the first, only train: the first process of all does the rest.
    """
    if children.is_rank() or children.node() > 0:
        _stage("train").main(run, setup)
        return
    run.merge({"status": "running", "error": None})
    try:
        for word in setup.config["stages"]:
            _stage(word).main(run, setup)
            run.finish(word, setup.config)
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


def _stage(word: Any) -> Any:
    if word not in words():
        raise Mistake(f"`stages` must be among {', '.join(words())}, but has {word}{nearest(str(word), words())}")
    return import_module(f"dgmrun.stages.{word}")
