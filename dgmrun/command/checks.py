"""Checks that Hydra does not make: types, minima, and keys that do not exist."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dgmrun.errors import Mistake
from dgmrun.paths import config_dir, words
from dgmrun.stages import stage

SHOW_KEYS = "dgmrun --cfg job model=... shows every key"
LEAST = {
    "dataset.batch_size": 1,
    "sweep.jobs": 1,
    "device.num_nodes": 1,
}


def check_types(composed: DictConfig, name: str) -> None:
    """Checks that each override has the type of its default; null defaults accept any type, floats accept integers.

    Args:
        composed: the configuration.
        name: name of the primary configuration from which it was composed.

    Raises:
        Mistake: an override is invalid; the message names its key.
    """
    given = HydraConfig.get().overrides
    overrides = list(given.task)
    parsed = OverridesParser.create().parse_overrides(overrides)
    groups = [text for text, one in zip(overrides, parsed, strict=True) if _is_group(one.key_or_group)]
    for one in parsed:
        if one.is_add() and "_target_" not in (OmegaConf.select(composed, one.key_or_group.rpartition(".")[0]) or ()):
            raise Mistake(f"there is no key `{one.key_or_group}`", SHOW_KEYS)
    keys = [one.key_or_group for one in parsed if not _is_group(one.key_or_group) and not one.is_add()]
    if not keys:
        return
    defaults = _defaults(GlobalHydra.instance().hydra, name, (*given.hydra, *groups))
    for key in keys:
        default, value = (OmegaConf.select(config, key, throw_on_missing=False) for config in (defaults, composed))
        section, _, leaf = key.rpartition(".")
        if value is None and OmegaConf.is_missing(OmegaConf.select(defaults, section) if section else defaults, leaf):
            raise Mistake(f"`{key}` must be given, but is null")
        numbers = value if OmegaConf.is_list(value) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise Mistake(f"`{key}` must be a finite number, but is {value}")
        if not _is_like(value, default):
            raise Mistake(f"`{key}` must be {_kind(default)}, but is {'null' if value is None else value}")


def check_sizes(config: dict[str, Any]) -> None:
    """Checks keys of config.yaml and of every dataset; those of models and methods are checked by their constructors.

    Raises:
        Mistake: a value is invalid; the message names its key.
    """
    of_stages = {key: least for word in words() for key, least in stage(word).LEAST.items()}
    for key, least in {**LEAST, **of_stages}.items():
        section, name = key.split(".")
        value = config[section].get(name)
        if value is not None and (type(value) is not int or value < least):
            raise Mistake(f"`{key}` must be a whole number and at least {least}, but is {value}")
    for key in ("ema", "clip_norm"):
        value = config["optimizer"].get(key)
        if not isinstance(value, (int, float, type(None))):
            raise Mistake(f"`optimizer.{key}` must be a number or null, but is {value}")
    for key, name in {"dataset.name": config["dataset"].get("name"), **_named(config.get("choices", {}))}.items():
        if name is not None and not is_word(name):
            raise Mistake(f"`{key}` must be a word, as folders are named after it, but is {name!r}")
    if config["resume"] not in ("exact", "approximate"):
        raise Mistake(f"`resume` must be exact or approximate, but is {config['resume']}")


def is_word(name: Any) -> bool:
    """Returns whether a name is suitable as the name of a directory."""
    return isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*", name) is not None


def _named(choices: dict[str, Any]) -> dict[str, Any]:
    return {f"choices.{group}": name for group, name in choices.items()}


def check_saved(saved: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> None:
    """Checks that the saved configuration of a run has values of the same types as the defaults.

    Raises:
        Mistake: a value is invalid; the message names its key.
    """
    for key, default in defaults.items():
        value = saved.get(key, default)
        if not _is_like(value, default):
            raise Mistake(f"`{prefix}{key}` of a run must be {_kind(default)}, but is {value!r}")
        if isinstance(default, dict):
            check_saved(value, default, f"{prefix}{key}.")


@cache
def _defaults(hydra: Any, name: str, overrides: tuple[str, ...]) -> DictConfig:
    """Composes the configuration without the user's keys; cached, as all jobs of a sweep share it."""
    composed: DictConfig = hydra.compose_config(name, list(overrides), RunMode.RUN, from_shell=False)
    return composed


def _is_group(key: str) -> bool:
    return (config_dir() / key).is_dir()


def _is_like(value: Any, default: Any) -> bool:
    if default is None or type(value) is type(default):
        return True
    if isinstance(default, float):
        return type(value) is int
    is_list = OmegaConf.is_list(value) or isinstance(value, list)
    return isinstance(default, str) and is_list and all(isinstance(word, str) for word in value)


def _kind(default: Any) -> str:
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a word or a list of words",
    }
    is_list = OmegaConf.is_list(default) or isinstance(default, list)
    return names.get(type(default), "a list" if is_list else "a group of keys")
