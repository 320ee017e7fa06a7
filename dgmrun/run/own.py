"""The user's own directories of configuration files, and the packages beside them.

A folder given as `--config-dir` makes the packages in its parent importable. It is remembered for the user, outside of
any run, and a run that was made with it finds it again. A run of a stranger cannot name a folder that the user has not
given before.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from dgmrun.errors import Mistake
from dgmrun.run.directory import Run
from dgmrun.run.files import locked, replace


def search_path(given: str | None) -> tuple[Path, ...]:
    """Returns the directory that `--config-dir` names, if any, ready for use.

    Raises:
        Mistake: it is no directory.
    """
    if not given:
        return ()
    folder = Path(os.path.abspath(os.path.expanduser(given)))
    if not folder.is_dir():
        raise Mistake(f"`--config-dir` must be a folder, but is {given}")
    _use(folder)
    return (folder,)


def _use(folder: Path) -> None:
    """Makes the packages beside a directory of configuration files importable, and remembers the directory.

    They are looked for last, so that none of them can stand in for another package.
    """
    if str(folder.parent) not in sys.path:
        sys.path.append(str(folder.parent))
    with suppress(OSError):  # a home that cannot be written to
        _remember(folder)


def of_run(path: str) -> tuple[Path, ...]:
    """Returns the directory with which a run was made, if the user has given it before and it still exists."""
    told = Run(Path(os.path.expanduser(path))).results.get("config_dir")
    return search_path(told) if told in _known() and os.path.isdir(told) else ()


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "dgmrun" / "config_dirs.json"


def _known() -> list[str]:
    with suppress(OSError, ValueError):
        return [str(folder) for folder in json.loads(_file().read_text())]
    return []


def _remember(folder: Path) -> None:
    if str(folder) in _known():
        return
    _file().parent.mkdir(parents=True, exist_ok=True)
    with locked(_file().parent):
        replace(_file(), json.dumps([*_known(), str(folder)], indent=1).encode())
