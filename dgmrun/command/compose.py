"""Composition of command-line arguments into a resolved configuration, by Hydra, with additional checks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from dgmrun.command import checks
from dgmrun.command.arguments import NEEDED, Arguments, root, split
from dgmrun.command.composition import NEW, SAVED, composition, opened, register
from dgmrun.command.mistakes import mistakes
from dgmrun.errors import Mistake
from dgmrun.paths import GROUPS, config_dir, every_section, inputs, methods, options, with_paths
from dgmrun.run.directory import Run
from dgmrun.run.untrusted import RESERVED
from dgmrun.stages import FOUND_ANEW, changeable

OF_TEACHER = "of_teacher"
"""Option of the group `dataset` that stands for the dataset of the teacher."""


def compose(arguments: Arguments) -> tuple[dict[str, Any], Path] | None:
    """Returns the checked configuration of a run and its directory; None if Hydra only printed something.

    Raises:
        Mistake: the arguments do not compose.
    """
    added = _stages(arguments)
    name = NEW if arguments.run is None else SAVED
    if name == SAVED:
        _store_saved(arguments)
    else:
        store_new(arguments.search_path)
        added += _of_teachers(arguments)
    if arguments.only_prints:
        _main(arguments, added, name, lambda _: None)
        return None
    with mistakes(arguments), opened(arguments) as searched:
        return _composed(name, [*searched, *arguments.overrides, *added])


@contextmanager
def composer(arguments: Arguments) -> Iterator[Callable[[Sequence[str]], tuple[dict[str, Any], Path]]]:
    """Yields a function from overrides to the checked configuration of a run and its directory, for a search.

    Raises:
        Mistake: the arguments do not compose.
    """
    store_new(arguments.search_path)
    added = [*_stages(arguments), *_of_teachers(arguments)]

    def composed(overrides: Sequence[str]) -> tuple[dict[str, Any], Path]:
        with mistakes(arguments):
            return _composed(NEW, [*searched, *overrides, *added])

    with mistakes(arguments), opened(arguments) as searched:
        yield composed


def compose_sweep(arguments: Arguments) -> None:
    """Passes the jobs of a sweep to the Hydra launcher `process`, which calls `_composed` for each.

    Raises:
        Mistake: the arguments do not compose.
    """
    store_new(arguments.search_path)
    added = [*_stages(arguments), *_of_teachers(arguments), "hydra/launcher=process"]
    _main(arguments, added, NEW, partial(_composed, NEW))


def _composed(name: str, overrides: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """Returns the checked configuration of a run and its directory: the chosen options, then the keys."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    for one in parsed:
        if one.is_sweep_override():
            hint = f"dgmrun -m ... makes a sweep; \"{one.key_or_group}='a, b'\" is one value"
            raise Mistake(f"`{one.key_or_group}` must be one value, but is several", hint)
    keys = [one for one in parsed if not one.is_hydra_override() and not (config_dir() / one.key_or_group).is_dir()]
    places = [one for one in parsed if one.key_or_group == "hydra.run.dir"]
    options = [text for text, one in zip(overrides, parsed, strict=True) if one not in [*keys, *places]]
    config = composition(name, options, places[-1].value() if places else None)
    last = {one.key_or_group: place for place, one in enumerate(keys)}
    for place in sorted(last.values()):  # of a key that is given twice, the last value
        checks.replace(config, keys[place])
    directory = Path(config.hydra.run.dir).absolute()
    return _resolved(config, name), directory


def _stages(arguments: Arguments) -> list[str]:
    return [f"stages=[{','.join(arguments.stages)}]"] if arguments.stages else []


def _of_teachers(arguments: Arguments) -> list[str]:
    """Returns overrides for the dataset and context of the teachers, unless the student's are given.

    Raises:
        Mistake: a teacher does not exist, or teachers have different datasets.
    """
    said = {key for key, _ in map(split, arguments.overrides)}
    teachers = arguments.paths("objective.teacher")
    if not teachers or "dataset" in said:
        return []
    first, *others = [_dataset_of(teacher) for teacher in teachers]
    if any(_but_batch_size(other) != _but_batch_size(first) for other in others):
        raise Mistake("`dataset` must be given, as the teachers have not the same")
    register(OF_TEACHER, first[0], group="dataset")
    given = Run.open(teachers[0], "objective.teacher").config.get("given")
    return [f"dataset={OF_TEACHER}", *([f"given={given}"] if given is not None and "given" not in said else [])]


def _but_batch_size(found: tuple[dict[str, Any], str]) -> dict[str, Any]:
    return {key: value for key, value in found[0].items() if key != "batch_size"}


def _dataset_of(teacher: Path | str) -> tuple[dict[str, Any], str]:
    """Returns the dataset of a run, and the name of its option."""
    saved = Run.open(teacher, "objective.teacher").config
    dataset, choices = saved.get("dataset"), saved.get("choices")
    if not isinstance(dataset, dict) or not isinstance(choices, dict):
        raise Mistake(f"`objective.teacher` must be a run with dataset and choices, but {teacher} has not both")
    return dataset, str(choices.get("dataset"))


def _main(arguments: Arguments, added: list[str], name: str, task: Callable[[DictConfig], Any]) -> None:
    """Calls Hydra's entry point, which reads `sys.argv`; it calls none of our code but `task`."""
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = [*arguments.flags, *arguments.overrides, *added]
    with mistakes(arguments):
        try:
            hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(task)()
        except OSError as error:
            if error.filename is None:
                raise
            message = f"`hydra.sweep.dir` must be a folder to write to, but {error.filename}: {error.strerror}"
            raise Mistake(message) from None


def store_new(search_path: Sequence[Path]) -> None:
    """Registers the primary configuration of a new run: config.yaml with the sections and methods of all stages."""
    register(NEW, {**_with_methods(search_path), **_loaded(config_dir() / "config.yaml")})


def _with_methods(search_path: Sequence[Path]) -> dict[str, Any]:
    """Returns the sections of all stages, each with the settings of its methods."""
    every = every_section()
    for group in methods():
        for file in options(group, search_path).values():
            every[group] = {**every[group], **_loaded(file)}
    return every


def _loaded(file: Path) -> dict[str, Any]:
    """Returns the keys of a configuration file as Hydra reads it."""
    return _read(file, file.stat().st_mtime_ns)


@cache
def _read(file: Path, changed: int) -> dict[str, Any]:
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(file))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Mistake(f"{file} must be YAML, but: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise Mistake(f"{file} must hold keys with values, but holds {loaded!r}")
    return {str(key): value for key, value in loaded.items()}


def _store_saved(arguments: Arguments) -> None:
    """Registers the saved configuration of a run as the primary one, over the defaults of what it lacks."""
    assert arguments.run is not None
    for override in arguments.overrides:
        key = split(override)[0]
        if root(override) not in changeable() and key not in FOUND_ANEW:
            raise Mistake(
                f"`{key}` of a run cannot change: it must be as {arguments.run} has it",
                f"dgmrun weights={arguments.run} {key}=... starts a new run from its parameters",
            )
    run = Run.open(arguments.run)
    base = {**_with_methods(arguments.search_path), **_shipped("config"), "device": _shipped("device/auto")}
    logging = [{f"override hydra/{name}": "none"} for name in ("job_logging", "hydra_logging")]
    node = {
        **_over(base, _checked(run.config, base)),
        **{"run": str(run.path), "data_dir": None, "resume": "exact"},
        "defaults": ["_self_", {"device": None}, {"logger": None}, *logging],
        "hydra": {"run": {"dir": str(run.path)}, "output_subdir": None, "job": {"chdir": False}},
    }
    register(SAVED, node)


def _shipped(name: str) -> dict[str, Any]:
    """Returns the keys of a shipped file and their defaults, without instructions to Hydra."""
    return {key: value for key, value in _loaded(config_dir() / f"{name}.yaml").items() if key not in RESERVED}


def _checked(saved: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Returns the saved configuration of a run, if it has all sections, with values of the types of the defaults.

    Raises:
        Mistake: a section is missing, or a value is invalid.
    """
    for key in (*NEEDED, "choices"):
        if not isinstance(saved.get(key), dict):
            raise Mistake(f"`{key}` of a run must be a group of keys, but is {saved.get(key)!r}")
    checks.check_saved(saved, base)
    return saved


def _over(base: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    sections = {key: value for key, value in base.items() if isinstance(value, dict) and key in saved}
    return {**base, **saved, **{key: _over(value, saved[key]) for key, value in sections.items()}}


def _resolved(composed: DictConfig, name: str) -> dict[str, Any]:
    with open_dict(composed):
        chosen = composed.pop("hydra").runtime.choices
    if missing := sorted(OmegaConf.missing_keys(composed)):
        raise Mistake(f"`{missing[0]}` must be given, but is not", f"dgmrun ... {missing[0]}=VALUE")
    config: Any = OmegaConf.to_container(composed, resolve=True)
    checks.check_sizes(config)
    if name == NEW:
        config["choices"] = {group: chosen.get(group) for group in GROUPS}
        if config["choices"]["dataset"] == OF_TEACHER:
            teachers = [given.path for given in inputs(config) if given.key == "objective.teacher"]
            config["choices"]["dataset"] = _dataset_of(teachers[0])[1]
    return with_paths(config, lambda path: os.path.abspath(os.path.expanduser(path)))
