"""The stage words, one file each: `check` refuses what a run cannot have before it is made, `main` does it.

    check(setup)        raises Mistake
    main(run, setup)    works on a claimed run and writes its figures there
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from dgmrun.errors import Interrupted, Mistake, nearest
from dgmrun.paths import words
from dgmrun.run import Run, now
from dgmrun.stages import _provenance, _weights
from dgmrun.stages._setup import Setup

__all__ = ["Setup", "check", "create", "execute", "unfinished"]
UNSAVED = ("run", "data_dir", "resume")


def create(setup: Setup, path: Path, command: str) -> Run:
    """Makes a run, after everything that can be checked without training.

    Args:
        setup: its configuration, `choices` included.
        path: the directory to claim.
        command: what the user typed.

    Raises:
        Mistake: names the key that cannot be.
    """
    check(setup)
    model = setup.new_model()
    if weights := setup.config["weights"]:
        file = _weights.locate(weights)
        _weights.load(model, _weights.read(file), file)
    saved = {key: value for key, value in setup.config.items() if key not in UNSAVED}
    run = Run.create(path, saved, _provenance.results(setup, command))
    if weights:
        run.save_weights(model.state_dict())
    return run


def check(setup: Setup) -> None:
    """Refuses what this configuration cannot do, without training.

    Raises:
        Mistake: names the key.
    """
    setup.device  # noqa: B018, refuses a device that is not there
    for word in setup.config["stages"]:
        _stage(word).check(setup)
    setup.splits  # noqa: B018, refuses data that are not there


def execute(run: Run, setup: Setup) -> None:
    """Runs the stages one after another and keeps `status` true."""
    run.merge({"status": "running", "error": None})
    try:
        for word in setup.config["stages"]:
            _stage(word).main(run, setup)
    except (KeyboardInterrupt, Interrupted):
        run.merge({"status": "interrupted", "finished": now()})
        raise
    except BaseException as error:
        run.merge({"status": "failed", "error": str(error) or type(error).__name__, "finished": now()})
        raise
    run.merge({"status": "done", "finished": now()})


def unfinished(run: Run) -> list[str]:
    """The stages that the run was made for and that have not finished."""
    results = run.results
    trained = results.get("train", {}).get("complete", False)
    return [word for word in run.config["stages"] if (not trained if word == "train" else word not in results)]


def _stage(word: Any) -> Any:
    if word not in words():
        raise Mistake(f"`stages` must be among {', '.join(words())}, but has {word}{nearest(str(word), words())}")
    return import_module(f"dgmrun.stages.{word}")
