"""Where the configuration lies, which options its groups have, and which of its keys are paths."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

INPUTS = {"weights": "weights", "objective.teacher": "teacher", "log_z.proposal": "proposal"}
"""Keys that name a run or a file that a run is made from or measured through, or several, and in which role."""
PATHS = (*INPUTS, "run", "data_dir", "dataset.path", "hydra.run.dir")
"""Keys that hold a path, or a list of them."""
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
    return _names("stages")


def tools() -> list[str]:
    """The tool words: the names of what lies in tools/."""
    return _names("tools")


def _names(folder: str) -> list[str]:
    return sorted(entry.stem for entry in (PACKAGE / folder).iterdir() if not entry.name.startswith(("_", ".")))


def methods() -> list[str]:
    """The stage words that have methods: a run has every option of such a group, and `methods` selects."""
    return [word for word in words() if (config_dir() / word).is_dir()]


@cache
def sections(word: str) -> dict[str, dict[str, Any]]:
    """A stage's sections of the configuration, with their defaults."""
    import yaml

    loaded: dict[str, dict[str, Any]] = yaml.safe_load((config_dir() / "stage" / f"{word}.yaml").read_text())
    return loaded


def every_section() -> dict[str, dict[str, Any]]:
    """Those of all stages."""
    return {name: section for word in words() for name, section in sections(word).items()}


def data_dir(configured: str | None) -> Path:
    """Where datasets are looked for: `data_dir`, else $DGMRUN_DATA, else ./data."""
    return Path(os.path.abspath(os.path.expanduser(configured or os.environ.get("DGMRUN_DATA") or "data")))


class Input(NamedTuple):
    """A run or file that a configuration names.

    Args:
        key: that names it.
        role: what it is for.
        path: where it is.
    """

    key: str
    role: str
    path: str


def inputs(config: Mapping[str, Any]) -> list[Input]:
    """All of them, in the order of `INPUTS`."""
    found = ((key, role, value_at(config, key)) for key, role in INPUTS.items())
    return [
        Input(key, role, str(path))
        for key, role, value in found
        for path in (value if isinstance(value, (list, tuple)) else [value])
        if path
    ]


def value_at(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def with_paths(config: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """A copy whose every path is changed, those in lists, too."""

    def changed(node: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {key: entry(value, f"{prefix}{key}") for key, value in node.items()}

    def entry(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return changed(value, f"{key}.")
        if key in PATHS and isinstance(value, (list, tuple)):
            return [change(each) if isinstance(each, str) else each for each in value]
        return change(value) if key in PATHS and isinstance(value, str) else value

    return changed(config, "")


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
    if key.lstrip("+") in INPUTS and value[0] == "[" and value[-1] == "]":
        parts = [part.strip() for part in value[1:-1].split(",")]
        return f"{key}=[{','.join(part if part[:1] in ('', chr(39), chr(34)) else literal(part) for part in parts)}]"
    return f"{key}={literal(value)}"
