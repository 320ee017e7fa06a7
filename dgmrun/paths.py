"""Where the configuration lies, which options its groups have, and which of its keys are paths."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PATHS = ("run", "weights", "data_dir", "dataset.path", "log_z.proposal", "objective.teacher", "hydra.run.dir")
"""Keys that hold a path."""
METHODS = ("log_z", "likelihood")
"""Groups of which a run has every option, each a method under its name; `methods` among the keys selects."""
PACKAGE = Path(__file__).resolve().parent


def config_dir() -> Path:
    """The packaged configs/ of a wheel, else the checkout's."""
    packaged = PACKAGE / "configs"
    return packaged if packaged.is_dir() else PACKAGE.parent / "configs"


def options(group: str, search_path: Sequence[Path] = ()) -> dict[str, Path]:
    """Option name -> YAML file of a configuration group, the user's folders in `search_path` included."""
    folders = [config_dir(), *search_path]
    return {file.stem: file for folder in folders for file in sorted((folder / group).glob("*.yaml"))}


def words() -> list[str]:
    """The stage words: the names of what lies in stages/."""
    entries = (PACKAGE / "stages").iterdir()
    return sorted(entry.stem for entry in entries if not entry.name.startswith(("_", ".")))


def data_dir(configured: str | None) -> Path:
    """Where datasets are looked for: `data_dir`, else $DGMRUN_DATA, else ./data."""
    return Path(os.path.abspath(os.path.expanduser(configured or os.environ.get("DGMRUN_DATA") or "data")))


def remove_empty(folder: Path) -> None:
    """Removes a folder, and those above it in ./outputs, as far as nothing lies there."""
    with suppress(OSError):
        folder.rmdir()
        while (folder := folder.parent).is_relative_to(Path.cwd() / "outputs"):
            folder.rmdir()


def literal(value: Any) -> str:
    """A plain value as Hydra's grammar writes it."""
    if isinstance(value, list):
        return f"[{','.join(map(literal, value))}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return json.dumps(value)


def quoted(override: str) -> str:
    """An override `key=value`; a path may hold what Hydra's grammar gives a meaning to, and in quotes it holds."""
    key, _, value = override.partition("=")
    if key.lstrip("+") not in PATHS or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return override
    return f"{key}={literal(value)}"
