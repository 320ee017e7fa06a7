"""What Hydra composes of a registered configuration and chosen options, each made once: it takes 0.13 s.

Trials of a search and tests ask for the same again and again, with other keys.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, flag_override

from dgmrun.command.arguments import Arguments
from dgmrun.paths import config_dir

NEW, SAVED = "new", "saved"
"""Names of the primary configurations of a new and of an existing run."""
_registered: dict[str, str] = {}


@contextmanager
def opened(arguments: Arguments) -> Iterator[list[str]]:
    """Opens Hydra for `hydra.compose`; yields the override that adds the user's directory of configuration files."""
    folders = json.dumps([f"file://{folder}" for folder in arguments.search_path], ensure_ascii=False)
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield [f"hydra.searchpath={folders}"] if arguments.search_path else []


def register(name: str, node: dict[str, Any], group: str | None = None) -> None:
    """Tells Hydra a configuration, unless that is what it has; what was composed of another is forgotten."""
    text = repr(node)
    if _registered.get(name) == text:
        return
    ConfigStore.instance().store(name, node, group=group)
    _registered[name] = text
    if name != SAVED:
        _composed_new.cache_clear()


def composition(name: str, options: Sequence[str], directory: Any = None) -> DictConfig:
    """Returns a registered configuration with options, as overrides, that are not keys.

    What is composed of shipped files alone is kept: of those, one process reads each once.

    Args:
        name: name of the configuration.
        options: the overrides.
        directory: where the run is to be; None for where the configuration says.
    """
    is_kept = name == NEW and not any(option.startswith("hydra.searchpath=") for option in options)
    config = pickle.loads(_composed_new(tuple(options))) if is_kept else _composed(name, options)
    with flag_override(config, ["readonly", "struct"], False):
        config.hydra.runtime.cwd = os.getcwd()
        if directory is not None:
            config.hydra.run.dir = directory
    HydraConfig.instance().set_config(config)
    return config


@lru_cache
def _composed_new(options: tuple[str, ...]) -> bytes:
    return pickle.dumps(_composed(NEW, options))


def _composed(name: str, options: Sequence[str]) -> DictConfig:
    return hydra.compose(name, list(options), return_hydra_config=True)
