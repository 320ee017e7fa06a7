"""Shell completion: `eval "$(dgmrun --shell-completion install=bash)"`.

Hydra says what the shell must evaluate, and composes the keys. What its own completer cannot know is added here: words
among the overrides, tools, and keys whose value is a path.
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

import hydra
from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra._internal.core_plugins.fish_completion import FishCompletion
from omegaconf import OmegaConf

from dgmrun.command.arguments import Arguments, parse, root, split
from dgmrun.command.compose import CHOICES, NEW, store_new
from dgmrun.errors import Mistake
from dgmrun.paths import PATHS, config_dir, methods, options, tools, words
from dgmrun.report.terminal import flags
from dgmrun.stages import changeable

COMMANDS = ("install", "uninstall", "query")
SHELLS: dict[str, Any] = {"bash": BashCompletion, "zsh": BashCompletion, "fish": FishCompletion}
SPECIAL = re.compile(r"[^\w@%+=:,./-]")
"""What a shell would split at, or expand: bash runs a `$(command)` in a file's name that is suggested to it."""


def main(argv: list[str]) -> None:
    """Prints what the shell is to evaluate (install, uninstall), or what may end `$COMP_LINE` (query), one a line.

    Raises:
        Mistake: the flag is not followed by one of these and a shell.
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
        sys.argv[0] = str(Path(sys.argv[0]).with_name("dgmrun"))  # where it is .py, Hydra completes all of python
        getattr(SHELLS[shell](None), command)()
        if command == "uninstall" and shell != "fish":
            print("complete -r dgmrun 2> /dev/null")  # Hydra leaves it, without the function that it names


def suggestions(line: str) -> list[str]:
    """What may stand in place of the line's last word: nothing where the words before it make no sense."""
    before, _, word = line.rpartition(" ")
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # `--version` prints, others may warn
            found = set(_arguments(shlex.split(before)[1:], word))
    except Exception:  # a line half written is no mistake, and a prompt no place to report one
        return []
    return sorted(each for each in found if each.startswith(word) and not SPECIAL.search(each))


def _arguments(before: list[str], word: str) -> Iterator[str]:
    tool = before[0] if before else ""
    if tool == "list":
        groups = () if before[1:] else (*CHOICES, *methods())
        yield from (f"{group}={option}" for group in groups for option in options(group))
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
    elif equals and key in CHOICES:
        begun = word[: max(word.rfind("="), word.rfind(",")) + 1]  # a sweep has commas
        yield from (f"{begun}{option}" for option in options(key, arguments.search_path))
    else:
        yield from (f"{group}=" for group in CHOICES)
        yield from (each for each in _keys(_composed(arguments), word) if word or not each.startswith("hydra"))


def _paths(begun: str) -> Iterator[str]:
    """The entries of a folder, with `/` behind folders; hidden ones where the name begins with a dot."""
    folder, name = begun[: begun.rfind("/") + 1], begun[begun.rfind("/") + 1 :]
    for entry in os.scandir(folder or "."):
        if name.startswith(".") or not entry.name.startswith("."):
            yield f"{folder}{entry.name}{'/' if entry.is_dir() else ''}"


def _keys(node: Any, word: str) -> Iterator[str]:
    """The keys beside the one that is begun, `.` behind those with more below, else `=`; once that is there, values."""
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
    """Every key and its value for the options chosen so far; where there is no model yet, for the first."""
    pairs = map(split, arguments.overrides)
    chosen = {group: value.split(",")[0] for group, value in pairs if group in CHOICES}
    if "experiment" not in chosen:
        chosen.setdefault("model", next(iter(options("model"))))
    folders = json.dumps([f"file://{folder}" for folder in arguments.search_path], ensure_ascii=False)
    overrides = [f"hydra.searchpath={folders}", *(f"{group}={option}" for group, option in chosen.items())]
    store_new(arguments.search_path)
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        return OmegaConf.to_container(hydra.compose(NEW, overrides, return_hydra_config=True))
