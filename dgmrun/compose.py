"""Command-line arguments to a resolved configuration, by Hydra; what Hydra lets pass and must not is refused here."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dgmrun import checks
from dgmrun.errors import Mistake, nearest
from dgmrun.paths import config_dir, options, words
from dgmrun.run import Run

PATHS = ("run", "weights", "data_dir", "dataset.path", "log_z.proposal", "objective.teacher", "hydra.run.dir")
ON_A_RUN = "run stages device trainer checkpoint log_z likelihood sample resume data_dir name tags notes".split()
METHODS = ("log_z",)
NEEDED = ("model", "objective", "dataset", "device", "optimizer")
CHOICES = ("model", "objective", "dataset", "device", "optimizer", "schedule", "experiment")


@dataclass(frozen=True)
class Arguments:
    """A command line, sorted: Hydra's flags, overrides, stage words and the user's configuration folder."""

    flags: list[str]
    overrides: list[str]
    stages: list[str]
    config_dir: Path | None

    @property
    def search_path(self) -> tuple[Path, ...]:
        """The user's folder of configuration files, if there is one."""
        return () if self.config_dir is None else (self.config_dir,)

    @property
    def run(self) -> str | None:
        """The run directory to take up."""
        given = self.paths("run")
        return str(given[-1]) if given else None

    def paths(self, name: str) -> list[Path]:
        """What the overrides of a path give."""
        values = [value for key, value in map(_split, self.overrides) if key == name and value not in ("", "null")]
        return [Path(os.path.expanduser(_unquoted(value))) for value in values]


def parse(argv: Sequence[str]) -> Arguments:
    """Sorts the arguments, which may come in any order.

    Raises:
        Mistake: a word is no stage, or a flag is not to be had.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            known, unknown = get_args_parser().parse_known_args(list(argv))
    except SystemExit:
        raise Mistake(said.getvalue().strip().splitlines()[-1].partition("error: ")[2], "dgmrun --help") from None
    positional = [*known.overrides, *(word for word in unknown if not word.startswith("-"))]
    if strange := [word for word in unknown if word.startswith("-")]:
        raise Mistake(f"there is no flag `{strange[0]}`", "dgmrun --help")
    if known.multirun:
        raise Mistake("`-m` must not be given: sweeps are not supported yet", "one command for each combination")
    flags = list(argv)
    for word in positional:
        del flags[len(flags) - 1 - flags[::-1].index(word)]
    stages = [word for word in positional if "=" not in word and not word.startswith("~")]
    for word in stages:
        if word not in words():
            raise Mistake(
                f"the word `{word}` must be one of {', '.join(words())}{nearest(word, words())}",
                "dgmrun --help",
            )
    overrides = [_quoted(word) for word in positional if word not in stages]
    for override in overrides:
        key, value = _split(override)
        if key.startswith("~"):
            raise Mistake(f"`{key[1:]}` must stay: no key of a run can be taken away")
        if key in NEEDED and (value in ("", "null") or value.startswith("[")):
            raise Mistake(f"`{key}` must be one of {', '.join(options(key))}, but is {value or 'null'}")
        if key in ("run", "hydra.run.dir") and value in ("", "null"):
            raise Mistake(f"`{key}` must be a folder, but is {value or 'empty'}")
        if key == "dataset.name" and not re.fullmatch(r"[\w-]+", value):
            raise Mistake(f"`dataset.name` must be a word, as a folder is named after it, but is {value}")
    folder = Path(known.config_dir).absolute() if known.config_dir else None
    if folder is not None and not folder.is_dir():
        raise Mistake(f"`--config-dir` must be a folder, but is {known.config_dir}")
    return Arguments(flags, overrides, stages, folder)


def run_with(arguments: Arguments, task: Callable[[dict[str, Any], Path], None]) -> None:
    """Composes the configuration and gives it, resolved and checked, to `task`, with the run's directory.

    Raises:
        Mistake: the arguments do not compose.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"
    added = [f"stages=[{','.join(arguments.stages)}]"] if arguments.stages else []
    name = "config"
    if arguments.run is not None:
        name = "saved"
        _store(arguments)
    else:
        added += [f"{group}=[{','.join(options(group, arguments.search_path))}]" for group in METHODS]
    sys.argv[1:] = [*arguments.flags, *arguments.overrides, *added]

    entered: list[Path] = []
    raised: list[BaseException] = []
    was_there = any(folder.is_dir() for folder in arguments.paths("hydra.run.dir"))

    def checked(composed: DictConfig) -> None:
        entered.append(Path(HydraConfig.get().runtime.output_dir).absolute())
        try:
            task(_resolved(composed, name), entered[0])
        except BaseException as error:  # Hydra would print lines of its own about it
            raised.append(error)

    try:
        hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(checked)()
    except (HydraException, OmegaConfBaseException) as error:
        raise _mistake(error, arguments) from error
    except OSError as error:
        if entered:
            raise
        raise Mistake(f"`hydra.run.dir` must be a folder to write to, but {error.filename}: {error.strerror}") from None
    if raised:
        if not was_there:
            _remove_empty(entered[0])
        raise raised[0]


def _remove_empty(directory: Path) -> None:
    """Hydra makes the directory, and those above it, before anything is checked."""
    with suppress(OSError):
        directory.rmdir()
        while (directory := directory.parent).is_relative_to(Path.cwd() / "outputs"):
            directory.rmdir()


def reentry(arguments: Arguments, path: Path, stages: Sequence[str]) -> list[str]:
    """The arguments that take up the run at `path` for these stages."""
    folder = [] if arguments.config_dir is None else [f"--config-dir={arguments.config_dir}"]
    return [*folder, _quoted(f"run={path}"), f"stages=[{','.join(stages)}]"]


def _store(arguments: Arguments) -> None:
    """Makes the saved configuration of a run the primary one; each method's own file lies under it."""
    assert arguments.run is not None
    for key, _ in map(_split, arguments.overrides):
        if key.split(".")[0].lstrip("+") not in ON_A_RUN:
            raise Mistake(
                f"`{key}` of a run cannot change: it must be as {arguments.run} has it",
                f"dgmrun weights={arguments.run} {key}=... starts a new run from its parameters",
            )
    run = Run.open(arguments.run)
    methods = [{group: list(options(group, arguments.search_path))} for group in METHODS]
    base = yaml.safe_load((config_dir() / "config.yaml").read_text())
    node = {
        **_over(base, run.config),
        **{"run": str(run.path), "data_dir": None, "resume": "exact"},
        "defaults": [
            *methods,
            "_self_",
            {"device": None},
            {"override hydra/job_logging": "none"},
            {"override hydra/hydra_logging": "none"},
        ],
        "hydra": {"run": {"dir": str(run.path)}, "output_subdir": None, "job": {"chdir": False}},
    }
    ConfigStore.instance().store(name="saved", node=node)


def _over(base: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    """What a run has saved, over what every run has.

    Raises:
        Mistake: a group of keys is missing, or is none.
    """
    for key in (*NEEDED, "choices"):
        if not isinstance(saved.get(key), dict):
            raise Mistake(f"`{key}` of a run must be a group of keys, but is {saved.get(key)!r}")
    merged = {**base, **saved}
    for key, value in base.items():
        if isinstance(value, dict):
            if not isinstance(merged[key], dict):
                raise Mistake(f"`{key}` of a run must be a group of keys, but is {merged[key]!r}")
            merged[key] = {**value, **merged[key]}
    return merged


def _resolved(composed: DictConfig, name: str) -> dict[str, Any]:
    if missing := sorted(OmegaConf.missing_keys(composed)):
        raise Mistake(f"`{missing[0]}` must be given, but is not", f"dgmrun ... {missing[0]}=VALUE")
    checks.check_types(composed, name)
    config: Any = OmegaConf.to_container(composed, resolve=True)
    checks.check_sizes(config)
    if name == "config":
        chosen = HydraConfig.get().runtime.choices
        config["choices"] = {group: chosen.get(group) for group in CHOICES}
    for key in PATHS:
        section, _, leaf = key.rpartition(".")
        place = config.get(section) if section else config
        if isinstance(place, dict) and isinstance(place.get(leaf), str):
            place[leaf] = os.path.abspath(os.path.expanduser(place[leaf]))
    return config


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def _quoted(override: str) -> str:
    """A path may hold what Hydra's grammar gives a meaning to; in quotes it holds."""
    key, value = _split(override)
    if key.lstrip("+") not in PATHS or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return override
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def _unquoted(value: str) -> str:
    return value[1:-1].replace("\\'", "'").replace("\\\\", "\\") if value[0] in "'\"" else value


def _mistake(error: Exception, arguments: Arguments) -> Mistake:
    """What Hydra and OmegaConf say, on one line, with the nearest key or option."""
    causes = list(_causes(error))
    text = " ".join(str(causes[0]).split())
    if text.startswith("You must specify 'model'"):
        return Mistake("`model` must be given, but is not", f"dgmrun model={next(iter(options('model')))} train")
    for group, _ in map(_split, arguments.overrides):
        if f"Could not find '{group}/" in text:
            value = text.split(f"'{group}/")[1].split("'")[0]
            known = options(group, arguments.search_path)
            return Mistake(f"`{group}` must be one of {', '.join(known)}, but is {value}{nearest(value, known)}")
    for key, _ in map(_split, arguments.overrides):
        if f"'{key}'" in text and ("not in struct" in " ".join(map(str, causes)) or "Could not override" in text):
            return Mistake(f"there is no key `{key}`", checks.SHOW_KEYS)
    return Mistake(text)


def _causes(error: BaseException) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__  # type: ignore[assignment]
