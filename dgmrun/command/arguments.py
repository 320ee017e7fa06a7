"""Parsing of the command line into Hydra flags, overrides and stages; invalid overrides are refused here."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path

from hydra._internal.utils import get_args_parser

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import INPUTS, PATHS, TEXTS, items, options, quoted, tools, unquoted, words
from dgmrun.run import own
from dgmrun.run.directory import UNSAVED
from dgmrun.stages import FOUND_ANEW, changeable

NEEDED = ("model", "objective", "dataset", "device", "optimizer")
"""Configuration groups of which every run has an option."""


@dataclass(frozen=True)
class Arguments:
    """The parts of a command line.

    Args:
        flags: Hydra flags.
        overrides: overrides `key=value`.
        stages: names of stages.
        search_path: the user's directory of configuration files, if any: given, or that with which the run was made.
        is_sweep: whether it is a sweep, with a run for each combination of values.
        only_prints: whether Hydra is asked to print something, such as the configuration, in place of a run.
    """

    flags: list[str]
    overrides: list[str]
    stages: list[str]
    search_path: tuple[Path, ...]
    is_sweep: bool
    only_prints: bool

    @property
    def run(self) -> str | None:
        """The directory of the existing run, if given."""
        given = self.paths("run")
        return str(given[-1]) if given else None

    @property
    def names_stages(self) -> bool:
        """Whether stages are given explicitly."""
        return bool(self.stages) or any(key == "stages" for key, _ in map(split, self.overrides))

    def paths(self, name: str) -> list[Path]:
        """Returns the values of a key that holds paths; in a sweep there may be several."""
        values = [value for key, value in map(split, self.overrides) if key == name and value not in ("", "null")]
        parts = [part for value in values for part in (items(value) if self.is_sweep else [value])]
        parts = [each for part in parts for each in items(part.strip("[]"))] if name in INPUTS else parts
        return [Path(os.path.expanduser(unquoted(part))) for part in parts if part]


def parse(argv: Sequence[str]) -> Arguments:
    """Parses the arguments, in any order, and makes the user's own packages importable.

    Raises:
        Mistake: a word is not a stage, or a flag is unknown.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            known, unknown = get_args_parser().parse_known_args(list(argv))
    except SystemExit:
        raise Mistake(said.getvalue().strip().splitlines()[-1].partition("error: ")[2], "dgmrun --help") from None
    positional = [*known.overrides, *(word for word in unknown if not word.startswith("-"))]
    if strange := [word for word in unknown if word.startswith("-")]:
        known_flags = re.findall(r"--[a-z-]+", get_args_parser().format_usage())
        raise Mistake(f"there is no flag `{strange[0]}`{nearest(strange[0], known_flags)}", "dgmrun --help")
    for word in ("config_name", "config_path", "experimental_rerun"):
        if getattr(known, word):
            raise Mistake(f"there is no flag `--{word.replace('_', '-')}`", "dgmrun --help")
    flags = list(argv)
    for word in positional:
        del flags[len(flags) - 1 - flags[::-1].index(word)]
    stages = [word for word in positional if "=" not in word and not word.startswith("~")]
    for word in stages:
        if word not in words():
            raise Mistake(
                f"the word `{word}` must be one of {', '.join(words())}{nearest(word, [*words(), *tools()])}",
                "dgmrun --help",
            )
    overrides = [_quoted(word, known.multirun) for word in positional if word not in stages]
    for override in overrides:
        _check(*split(override), is_sweep=known.multirun)
    search_path = own.search_path(known.config_dir)
    only_prints = bool(known.cfg or known.info or known.hydra_help)
    given = Arguments(flags, overrides, stages, search_path, known.multirun, only_prints)
    return replace(given, search_path=own.of_run(given.run)) if given.run and not search_path else given


def _check(key: str, value: str, is_sweep: bool) -> None:
    """Refuses overrides that Hydra accepts although they are invalid for a run."""
    if key.startswith("~"):
        raise Mistake(f"`{key[1:]}` must stay: no key of a run can be taken away")
    if key in NEEDED and (value in ("", "null") or value.startswith("[")):
        raise Mistake(f"`{key}` must be one of {', '.join(options(key))}, but is {value or 'null'}")
    if key == "hydra.mode":
        raise Mistake("`hydra.mode` cannot be given", "dgmrun -m ... makes a sweep")
    if key in ("weights", "hydra.sweep.dir") and value == "":
        raise Mistake(f"`{key}` must be a path, but is empty")
    if key in ("run", "hydra.run.dir") and value in ("", "null"):
        raise Mistake(f"`{key}` must be a folder, but is {value or 'empty'}")
    if key in ("dataset.name", "sweep.name") and not re.fullmatch(r"[\w-]+", unquoted(value)):
        raise Mistake(f"`{key}` must be a word, as a folder is named after it, but is {value}")
    if key in TEXTS and "${" in value:
        raise Mistake(f"`{key}` must be a text without `${{`, but is {value}")
    if is_sweep and key.startswith("sweep.") and key not in TEXTS and "," in value:
        raise Mistake(f"`{key}` is of the sweep and cannot be swept, but is {value}")
    if is_sweep and key == "run":
        raise Mistake("`run` cannot be swept", f"for run in {value.replace(',', ' ')}; do dgmrun ... run=$run; done")
    if is_sweep and key == "hydra.run.dir":
        raise Mistake("`hydra.run.dir` is for one run; those of a sweep have `hydra.sweep.dir`", "sweep.name=NAME")


def reentry(arguments: Arguments, path: Path, stages: Sequence[str]) -> list[str]:
    """Returns arguments that execute these stages of the run at `path`, with the overrides that it does not save."""
    folder = [f"--config-dir={folder}" for folder in arguments.search_path]
    again = {*changeable(), *FOUND_ANEW} if arguments.run is not None else {*UNSAVED}
    again -= {"run", "stages", "sweep"}
    kept = [one for one in arguments.overrides if {root(one), split(one)[0]} & again]
    return [*folder, quoted(f"run={path}"), *kept, f"stages=[{','.join(stages)}]"]


def split(override: str) -> tuple[str, str]:
    """Splits an override into key and value."""
    key, _, value = override.partition("=")
    return key, value


def root(override: str) -> str:
    """Returns the top-level key of an override."""
    return split(override)[0].split(".")[0].lstrip("+")


def _quoted(override: str, is_sweep: bool) -> str:
    """Quotes paths and texts; in a sweep, commas separate paths."""
    key, value = split(override)
    parts = items(value) if is_sweep and key in PATHS else [value]
    return f"{key}=" + ",".join(split(quoted(f"{key}={part}"))[1] for part in parts) if value else override
