"""What Hydra composes of a registered configuration and chosen options, each made once: it takes 0.13 s.

Trials of a search and tests ask for the same again and again, with other keys.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from dgmrun.command.arguments import Arguments
from dgmrun.paths import config_dir

NEW, SAVED = "new", "saved"
"""Names of the primary configurations of a new and of an existing run."""
_registered: dict[str, Any] = {}


@contextmanager
def opened(arguments: Arguments) -> Iterator[list[str]]:
    """Opens Hydra for `hydra.compose`; yields the override that adds the user's directory of configuration files."""
    folders = json.dumps([f"file://{folder}" for folder in arguments.search_path], ensure_ascii=False)
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield [f"hydra.searchpath={folders}"] if arguments.search_path else []


def register(name: str, node: dict[str, Any], group: str | None = None) -> None:
    """Tells Hydra a configuration, unless that is what it has; what was composed of another is forgotten."""
    if _registered.get(name) == node:
        return
    ConfigStore.instance().store(name, node, group=group)
    _registered[name] = node
    if name != SAVED:
        _composed_new.cache_clear()


def composition(name: str, options: Sequence[str]) -> DictConfig:
    """Returns a registered configuration with options, as overrides, that are not keys.

    Of saved configurations, no two are equal, and files of the user may change meanwhile: those are composed anew.
    """
    is_kept = name == NEW and not any("searchpath" in option for option in options)
    return pickle.loads(_composed_new(tuple(options))) if is_kept else _composed(name, options)


@lru_cache
def _composed_new(options: tuple[str, ...]) -> bytes:
    return pickle.dumps(_composed(NEW, options))


def _composed(name: str, options: Sequence[str]) -> DictConfig:
    return hydra.compose(name, list(options), return_hydra_config=True)
