"""Shell completion: `eval "$(dgmrun --shell-completion install=bash)"`.

Hydra provides the shell code and the configuration keys. This module adds what Hydra's own completer lacks: stages
and tools, and keys whose values are paths.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra._internal.core_plugins.fish_completion import FishCompletion
from omegaconf import OmegaConf

from dgmrun.command.arguments import Arguments, parse, root, split
from dgmrun.command.compose import store_new
from dgmrun.command.composition import NEW, composition, opened
from dgmrun.errors import Mistake
from dgmrun.paths import GROUPS, PATHS, methods, options, tools, words
from dgmrun.report.terminal import flags
from dgmrun.stages import changeable

COMMANDS = ("install", "uninstall", "query")
SHELLS: dict[str, Any] = {"bash": BashCompletion, "zsh": BashCompletion, "fish": FishCompletion}
SPECIAL = re.compile(r"[^\w@%+=:,./-]")
"""Characters that a shell would split at or expand: bash executes a `$(command)` in a suggested file name."""


def main(argv: list[str]) -> None:
    """Prints shell code (install, uninstall) or completions of `$COMP_LINE`, one on each line (query).

    Raises:
        Mistake: the flag is not followed by a valid command and shell.
    """
    said = " ".join(word for word in argv if not word.startswith("-"))
    command, _, shell = said.partition("=")
    if command not in COMMANDS or shell not in SHELLS:
        raise Mistake(
            f"`--shell-completion` must be followed by install= or uninstall= and one of {', '.join(SHELLS)}, "
            f"but is followed by {said or 'nothing'}",
            "dgmrun --shell-completion install=bash",
        )
    if command == "query":
        line = os.environ.get("COMP_LINE", "")
        for suggestion in suggestions(line[: int(os.environ.get("COMP_POINT") or len(line))]):
            print(suggestion)
    else:
        sys.argv[0] = str(Path(sys.argv[0]).with_name("dgmrun"))  # for a .py file, Hydra would complete `python`
        getattr(SHELLS[shell](None), command)()
        if command == "uninstall" and shell != "fish":
            print("complete -r dgmrun 2> /dev/null")  # Hydra leaves it, though its function is gone


def suggestions(line: str) -> list[str]:
    """Returns completions of the last word of a line; none if the words before it are invalid."""
    before, _, word = line.rpartition(" ")
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # parsing may print
            found = set(_arguments(shlex.split(before)[1:], word))
    except Exception:  # an incomplete line is not an error
        return []
    return sorted(each for each in found if each.startswith(word) and not SPECIAL.search(each))


def _arguments(before: list[str], word: str) -> Iterator[str]:
    tool = before[0] if before else ""
    if tool == "list":
        if not before[1:]:
            yield from (f"{group}={option}" for group in (*GROUPS, *methods()) for option in options(group))
            yield from flags(import_module("dgmrun.tools.list").parser())
    elif tool in tools():
        yield from flags(import_module(f"dgmrun.tools.{tool}").parser())
        yield from (path for path in _paths(word) if path.endswith("/"))
    else:
        arguments = parse(before)
        overrides = _overrides(arguments, word)
        if arguments.run is not None:
            overrides = (each for each in overrides if root(each) in changeable())
        yield from overrides
        yield from set(words()) - set(arguments.stages)
        yield from () if before else tools()


def _overrides(arguments: Arguments, word: str) -> Iterator[str]:
    key, equals, value = word.partition("=")
    if equals and key in PATHS:
        yield from (f"{key}={path}" for path in _paths(value))
    elif equals and key in GROUPS:
        begun = word[: max(word.rfind("="), word.rfind(",")) + 1]  # commas separate values of a sweep
        yield from (f"{begun}{option}" for option in options(key, arguments.search_path))
    else:
        yield from (f"{group}=" for group in GROUPS)
        yield from (each for each in _keys(_composed(arguments), word) if word or not each.startswith("hydra"))


def _paths(begun: str) -> Iterator[str]:
    """Yields the entries of a directory, with `/` after subdirectories; hidden ones only after a dot."""
    folder, name = begun[: begun.rfind("/") + 1], begun[begun.rfind("/") + 1 :]
    for entry in os.scandir(folder or "."):
        if name.startswith(".") or not entry.name.startswith("."):
            yield f"{folder}{entry.name}{'/' if entry.is_dir() else ''}"


def _keys(node: Any, word: str) -> Iterator[str]:
    """Yields completions of a key, followed by `.` if it has subkeys, else by `=` or, once that is typed, its value."""
    key, equals, _ = word.partition("=")
    *above, _ = key.split(".")
    for name in above:
        node = node[name]
    for name, value in node.items():
        path = ".".join([*above, name])
        text = value if isinstance(value, str) else json.dumps(value)
        if name != "_target_":
            yield f"{path}." if isinstance(value, dict) else f"{path}={text if equals else ''}"


def _composed(arguments: Arguments) -> Any:
    """Composes all keys and values for the options chosen so far, with the first model if none is given yet."""
    pairs = map(split, arguments.overrides)
    chosen = {group: value.split(",")[0] for group, value in pairs if group in GROUPS}
    if "experiment" not in chosen:
        chosen.setdefault("model", next(iter(options("model"))))
    overrides = [f"{group}={option}" for group, option in chosen.items()]
    store_new(arguments.search_path)
    with opened(arguments) as searched:
        return OmegaConf.to_container(composition(NEW, [*searched, *overrides]))
