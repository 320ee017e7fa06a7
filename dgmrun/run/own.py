"""The user's own directories of configuration files, and the packages beside them.

A folder given as `--config-dir` makes the packages in its parent importable; they are looked for last, so that none of
them can stand in for another package. When a run is made or opened with it, it is remembered for the user, outside of
any run, and a run that was made with it finds it again. A run of a stranger cannot name a folder that the user has not
used.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dgmrun.errors import Mistake
from dgmrun.paths import config_dir, short
from dgmrun.run.directory import CONFIG, Run
from dgmrun.run.files import replace
from dgmrun.run.locks import locked


def search_path(given: str | None) -> tuple[Path, ...]:
    """Returns the directory that `--config-dir` names, if any, with the packages beside it importable.

    Raises:
        Mistake: it is no directory, or has a file whose name is one of dgmrun's own, which would be read in its place.
    """
    if not given:
        return ()
    folder = Path(os.path.abspath(os.path.expanduser(given)))
    if not folder.is_dir():
        raise Mistake(f"`--config-dir` must be a folder, but is {given}")
    for file in sorted(folder.glob("*/*.yaml")):
        name = file.relative_to(folder)
        if (config_dir() / name).is_file() and folder != config_dir():
            raise Mistake(
                f"`--config-dir` must have names of its own, but {name} is one of dgmrun's, too",
                f"mv {short(file)} {short(file.with_stem(f'my_{file.stem}'))}",
            )
    return _importable(folder)


def _importable(folder: Path) -> tuple[Path, ...]:
    if str(folder.parent) not in sys.path:
        sys.path.append(str(folder.parent))
    return (folder,)


def remember(search_path: Sequence[Path]) -> None:
    """Remembers directories with which the user has made or opened a run."""
    if not search_path:
        return
    with suppress(OSError, RuntimeError):  # no home, or none that can be written to
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.parent):
            known = _known()
            if new := [str(folder) for folder in search_path if str(folder) not in known]:
                replace(file, json.dumps([*known, *new], indent=1).encode())


def of_run(path: str) -> tuple[Path, ...]:
    """Returns the directory with which a run was made, if the user has used it before and it still exists.

    Raises:
        Mistake: the files of the run cannot be read or trusted.
    """
    if not Path(os.path.expanduser(path), CONFIG).is_file():
        return ()
    told = Run.open(path).results.get("config_dir")
    return _importable(Path(told)) if told is not None and told in _known() and os.path.isdir(told) else ()


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "dgmrun" / "config_dirs.json"


def _known() -> list[str]:
    with suppress(OSError, RuntimeError, ValueError, TypeError):
        return [str(folder) for folder in json.loads(_file().read_text())]
    return []
