"""Imports of what a `_target_` names, and what to do where there is nothing to import, or where it fails later on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from dgmrun.errors import Mistake, RunFailed, is_of_memory
from dgmrun.paths import short
from dgmrun.protocols.contrast import SimulatorError
from dgmrun.protocols.methods import Unmeasurable


def imported(target: str) -> Any:
    """Returns the class or function of this name, `package.module.name`.

    Raises:
        Mistake: it cannot be imported.
        MemoryError, ImportError, OSError: there is too little memory for it.
    """
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        if is_of_memory(error):
            raise
        is_absent = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        hint = _where(module.partition(".")[0]) if is_absent else None
        raise Mistake(f"`_target_` must be importable, but {target} is not: {error}", hint) from None


@contextmanager
def told() -> Iterator[None]:
    """Says in one line that a simulator failed, whose traceback is for run.log, or that a method cannot measure.

    Raises:
        RunFailed: a simulator did.
        Mistake: a method cannot.
    """
    try:
        yield
    except SimulatorError as error:
        raise RunFailed(str(error), "run.log has the traceback") from error
    except Unmeasurable as error:
        raise Mistake(str(error)) from error


def _where(package: str) -> str:
    """Returns where a package was looked for, and the command that finds it if it is in the current folder."""
    ours = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)}
    folders = dict.fromkeys(os.path.realpath(folder) for folder in sys.path)
    looked = [short(Path(each)) for each in folders if os.path.isdir(each) and not _is_below(each, ours)]
    where = f"it was looked for in {', '.join(looked)}" if looked else "it was looked for nowhere but in Python itself"
    if PathFinder.find_spec(package, [os.getcwd()]) is not None:
        return f"PYTHONPATH=. dgmrun ... finds the one in this folder; {where}"
    return f"PYTHONPATH=FOLDER dgmrun ..., or --config-dir=FOLDER/configs, finds {package} in FOLDER; {where}"


def _is_below(folder: str, others: set[str]) -> bool:
    return any(os.path.commonpath([folder, other]) == other for other in others)
