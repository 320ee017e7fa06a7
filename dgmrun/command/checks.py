"""Checks that Hydra does not make: types, minima, and keys that do not exist."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import every_section, leaves, value_at, words
from dgmrun.run.untrusted import LARGEST_INTEGER
from dgmrun.stages import FORMATS, stage

AUTO = "auto"
"""Default of what is recognised in a dataset; what settles it is checked by its loader."""
LARGEST = {64: LARGEST_INTEGER, 32: 3.4e38}
"""Bounds of whole numbers and of floating-point numbers, by the bits that keep them."""
SHOW_KEYS = "dgmrun --cfg job model=... shows every key"
LEAST = {
    "dataset.batch_size": 1,
    "sweep.jobs": 1,
    "sweep.slurm.time": 1,
    "sweep.slurm.cpus_per_task": 1,
    "device.num_nodes": 1,
}


def replace(config: DictConfig, override: Override) -> None:
    """Replaces the value of a key by one of the same type; null defaults accept any type, floats accept integers.

    Raises:
        Mistake: there is no such key, or its value is invalid; the message names the key.
    """
    key, value = override.key_or_group, override.value()
    section, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, section) if section else config
    is_new = override.is_add() or override.is_force_add()
    if not OmegaConf.is_dict(node) or (leaf not in list(node) and not (is_new and "_target_" in node)):
        ours = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
        known = [*map(str, ours), *(name for name, _ in leaves(OmegaConf.to_container(ours)))]  # type: ignore[arg-type]
        *_, whole = [key, *(name for name in known if name.endswith(f".{key}"))]  # those of stages come first
        raise Mistake(f"there is no key `{key}`{nearest(whole, known)}", SHOW_KEYS)
    if value is None and OmegaConf.is_missing(node, leaf):
        raise Mistake(f"`{key}` must be given, but is null")
    default = deepcopy(OmegaConf.select(config, key, throw_on_missing=False))
    value = [value] if key == "report.format" and isinstance(value, str) else value
    OmegaConf.update(config, key, value, force_add=is_new)
    value = OmegaConf.select(config, key)
    settles = section == "dataset" and default == AUTO
    is_reset = value is None and dict(leaves(every_section())).get(key, key) is None  # as shipped, if not in the run
    one_word = "_target_" in node
    if not settles and not is_reset and not _is_like(value, default, one_word):
        must = f"`{key}` must be {_kind(default, one_word)}"
        raise Mistake(f"{must}, but is {'null' if value is None else value}", _cure(key, value, default, one_word))


def _cure(key: str, value: Any, default: Any, one_word: bool) -> str | None:
    """Returns a list of the value, a number as often as in the default, or the one value of a list, of its type."""
    if OmegaConf.is_list(value):
        return f"{key}={value[0]}" if len(value) == 1 and _is_like(value[0], default, one_word) else None
    if not value or not _is_list(default) or not _is_like([value], default, one_word):
        return None
    times = 1 if isinstance(value, str) else max(1, len(default))
    return f"{key}=[{','.join([str(value)] * times)}]"


def check_sizes(config: dict[str, Any]) -> None:
    """Checks keys of config.yaml and of every dataset; those of models and methods are checked by their constructors.

    Raises:
        Mistake: a value is invalid; the message names its key.
    """
    for key, value in leaves(config):
        for number in value if isinstance(value, list) else [value]:
            bits = 64 if isinstance(number, int) else 32
            if isinstance(number, (int, float)) and not abs(number) < LARGEST[bits]:
                raise Mistake(f"`{key}` must be a number that {bits} bits hold, but is {value}")
    of_stages = {key: least for word in words() for key, least in stage(word).LEAST.items()}
    for key, least in {**LEAST, **of_stages}.items():
        value = value_at(config, key)
        if value is not None and (type(value) is not int or value < least):
            raise Mistake(f"`{key}` must be a whole number and at least {least}, but is {value}")
    for key in ("ema", "clip_norm"):
        value = config["optimizer"].get(key)
        if not isinstance(value, (int, float, type(None))):
            raise Mistake(f"`optimizer.{key}` must be a number or null, but is {value}")
    for key, name in {"dataset.name": config["dataset"].get("name"), **_named(config.get("choices", {}))}.items():
        if name is not None and not is_word(name):
            raise Mistake(f"`{key}` must be a word, as folders are named after it, but is {name!r}")
    formats = config["report"]["format"]
    if not formats or any(each not in FORMATS for each in formats):
        raise Mistake(
            f"`report.format` must be a list of {', '.join(FORMATS)}, but is {formats}", f"report.format=[{FORMATS[0]}]"
        )
    if config["resume"] not in ("exact", "approximate"):
        raise Mistake(f"`resume` must be exact or approximate, but is {config['resume']}")
    if config["sweep"]["on"] not in ("here", "slurm"):
        raise Mistake(f"`sweep.on` must be here or slurm, but is {config['sweep']['on']}")


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


def _is_like(value: Any, default: Any, one_word: bool = False) -> bool:
    """Returns whether a value is of the type of a default; unless `one_word`, a list of words is of that of a word."""
    if default is None:
        return True
    if _is_list(default):
        return _is_list(value) and all(_is_like(each, one, one_word) for one in default[:1] for each in value)
    if type(value) is type(default):
        return True
    if isinstance(default, float):
        return type(value) is int
    takes_list = isinstance(default, str) and not one_word
    return takes_list and _is_list(value) and all(isinstance(word, str) for word in value)


def _is_list(value: Any) -> bool:
    return OmegaConf.is_list(value) or isinstance(value, list)


def _kind(default: Any, one_word: bool = False) -> str:
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a word" if one_word else "a word or a list of words",
    }
    if _is_list(default):
        if default and _is_list(default[0]):
            return f"a list of lists, each {_kind(default[0], one_word)}"
        return f"a list with {_kind(default[0], one_word)} in each place" if default else "a list"
    return names.get(type(default), "a group of keys")
