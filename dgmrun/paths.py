"""Where the configuration lies, and which options its groups have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

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
