"""Location of the configuration files, options of configuration groups, and keys that hold paths."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

GROUPS = ("model", "objective", "dataset", "device", "optimizer", "schedule", "search", "logger", "experiment")
"""Configuration groups of which a run has at most one option."""
MADE_BY = ("model", "objective", "dataset", "given", "optimizer", "schedule", "trainer", "seed", "weights")
"""Sections that define a run, as opposed to where it is stored, on what device it runs and how it is evaluated."""
INPUTS = {
    "weights": "weights",
    "objective.teacher": "teacher",
    "log_z.proposal": "proposal",
    "fidelity.features": "features",
}
"""Keys that name runs or files from which a run is made or measured, and their roles."""
PATHS = (*INPUTS, "run", "data_dir", "dataset.path", "hydra.run.dir", "hydra.sweep.dir")
"""Keys that hold a path or a list of paths."""
TEXTS = ("name", "tags", "notes", "sweep.name", "sweep.slurm.options")
"""Keys that hold a text or a list of texts."""
COLUMNS = "dataset.drop"
"""Key that holds a list of numbers and of names, which are texts."""
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
ITEM = re.compile(rf"\s*({QUOTED}|\[[^\[\]]*\]|[^,]*?)\s*(?:,|\Z)")
"""Patterns of a quoted value, and of what stands between commas that are neither in quotes nor in brackets."""
PACKAGE = Path(__file__).resolve().parent


def config_dir() -> Path:
    """Returns the directory of the configuration files: inside an installed package, else that of the checkout."""
    packaged = PACKAGE / "configs"
    return packaged if packaged.is_dir() else PACKAGE.parent / "configs"


def options(group: str, search_path: Sequence[Path] = ()) -> dict[str, Path]:
    """Returns the YAML file of each option of a configuration group, including those in `search_path`."""
    folders = [config_dir(), *search_path]
    return {file.stem: file for folder in folders for file in sorted((folder / group).glob("*.yaml"))}


def words() -> list[str]:
    """Returns the names of all stages, from the contents of stages/."""
    return _names("stages")


def tools() -> list[str]:
    """Returns the names of all tools, from the contents of tools/."""
    return _names("tools")


def _names(folder: str) -> list[str]:
    return sorted(entry.stem for entry in (PACKAGE / folder).iterdir() if not entry.name.startswith(("_", ".")))


def methods() -> list[str]:
    """Returns the names of stages with methods; a run has the settings of all methods, `methods` selects some."""
    return [word for word in words() if (config_dir() / word).is_dir()]


@cache
def sections(word: str) -> dict[str, dict[str, Any]]:
    """Returns the sections of the configuration that belong to a stage, with their defaults."""
    import yaml

    loaded: dict[str, dict[str, Any]] = yaml.safe_load((config_dir() / "stage" / f"{word}.yaml").read_text())
    return loaded


def every_section() -> dict[str, dict[str, Any]]:
    """Returns the sections of all stages."""
    return {name: section for word in words() for name, section in sections(word).items()}


def data_dir(configured: str | None) -> Path:
    """Returns the directory of datasets: `data_dir`, else $DGMRUN_DATA, else ./data."""
    return Path(os.path.abspath(os.path.expanduser(configured or os.environ.get("DGMRUN_DATA") or "data")))


class Input(NamedTuple):
    """A run or file named in a configuration.

    Args:
        key: the key that names it.
        role: its role.
        path: its path.
    """

    key: str
    role: str
    path: str


def inputs(config: Mapping[str, Any]) -> list[Input]:
    """Returns all runs and files that a configuration names, in the order of `INPUTS`."""
    found = ((key, role, value_at(config, key)) for key, role in INPUTS.items())
    return [
        Input(key, role, str(path))
        for key, role, value in found
        for path in (value if isinstance(value, (list, tuple)) else [value])
        if path
    ]


def value_at(config: Mapping[str, Any], key: str) -> Any:
    """Returns the value of a dotted key, or None if it does not exist."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each dotted key of a configuration that is not a group of keys, with its value."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def with_paths(config: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Returns a copy of the configuration with `change` applied to each path, including those in lists."""

    def changed(node: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {key: entry(value, f"{prefix}{key}") for key, value in node.items()}

    def entry(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return changed(value, f"{key}.")
        if key in PATHS and isinstance(value, (list, tuple)):
            return [change(each) if isinstance(each, str) else each for each in value]
        return change(value) if key in PATHS and isinstance(value, str) else value

    return changed(config, "")


def short(path: Path) -> str:
    """Returns a path relative to the current directory if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


def remove_empty(folder: Path) -> None:
    """Removes a directory, and its parents in ./outputs, as long as they are empty."""
    with suppress(OSError):
        folder.rmdir()
        while (folder := folder.parent).is_relative_to(Path.cwd() / "outputs"):
            folder.rmdir()


def items(value: str) -> list[str]:
    """Splits a value at the commas that are neither in quotes nor in brackets."""
    return [item[1] for item in ITEM.finditer(value) if item[1]]


def literal(value: Any) -> str:
    """Formats a plain value in Hydra's override grammar, in which a backslash is special only before a quote."""
    if isinstance(value, list):
        return f"[{','.join(map(literal, value))}]"
    if isinstance(value, str):
        doubled = re.sub(r"\\+(?='|\Z)", lambda run: 2 * run[0], value).replace("'", "\\'")
        return f"'{doubled}'"
    return json.dumps(value)


def unquoted(value: str) -> str:
    """Returns the text that a value stands for, whether it is quoted or not."""
    if not re.fullmatch(QUOTED, value, re.DOTALL):
        return value
    return re.sub(rf"\\+(?={value[0]}|\Z)", lambda run: run[0][: len(run[0]) // 2], value[1:-1])


def quoted(override: str) -> str:
    """Quotes the value of an override `key=value` if it is a path, a text or a list of names of columns.

    These may hold characters of Hydra's.
    """
    key, _, value = override.partition("=")
    name = key.lstrip("+")
    if name == COLUMNS and re.fullmatch(r"\[[^\[\]]*\]", value):
        parts = [part if part.isdecimal() else literal(unquoted(part)) for part in items(value[1:-1])]
        return f"{key}=[{','.join(parts)}]"
    if name not in (*PATHS, *TEXTS) or value in ("", "null") or "${" in value:
        return override
    if name in (*INPUTS, "tags") and value[0] == "[" and value[-1] == "]":
        return f"{key}={literal([unquoted(part) for part in items(value[1:-1])])}"
    return f"{key}={literal(unquoted(value))}"
