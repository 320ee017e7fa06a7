"""From a configuration to objects. Only this file calls Hydra's `instantiate`.

A saved configuration is a stranger's file. It can name only what could be composed here: the `_target_` strings of
the YAML in the search path, compared whole.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.utils import get_class, get_method, instantiate

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import config_dir
from dgmrun.protocols import Event

TARGET = re.compile(r"^\s*_target_:\s*([\w.]+)", re.MULTILINE)
OWN_KEYS = {
    "optimizer": ("clip_norm", "ema"),
    "schedule": ("horizon",),
    "dataset": ("name", "event", "context", "pixel_order", "binarisation", "batch_size"),
}
"""Keys of a group that are ours, not its target's."""


def allowed_targets(search_path: Sequence[Path] = ()) -> set[str]:
    """Every `_target_` that a configuration of this search path can name."""
    files = (file for folder in (config_dir(), *search_path) for file in Path(folder).rglob("*.yaml"))
    return {target for file in files for target in TARGET.findall(file.read_text())}


def check_targets(config: Any, allowed: set[str], key: str = "") -> None:
    """Refuses a `_target_` anywhere in `config` that is not in `allowed`.

    Raises:
        Mistake: names the key and the target.
    """
    entries = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    for name, entry in entries:
        where = f"{key}.{name}" if key else str(name)
        if name == "_target_" and entry not in allowed:
            raise Mistake(
                f"`{where}` must be one that the configuration files name, but is {entry!r}{nearest(str(entry), allowed)}",
                "dgmrun --config-dir=FOLDER ... adds configuration files of your own",
            )
        check_targets(entry, allowed, where)


def target(node: Mapping[str, Any]) -> Any:
    """The class or function that a node names."""
    name = str(node["_target_"])
    return get_class(name) if name.rpartition(".")[2][:1].isupper() else get_method(name)


def maker(group: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    """A node's target with its settings bound; what the settings lack is given when it is called.

    Errors of the target's own checks arrive as mistakes.
    """
    settings = {key: value for key, value in node.items() if key not in OWN_KEYS.get(group, ())}
    try:
        inspect.signature(target(node)).bind_partial(**{key: None for key in settings if key != "_target_"})
    except TypeError as error:
        raise Mistake(f"`{group}` must have keys that {node['_target_']} takes, but: {error}") from None
    return partial(checked, instantiate(settings, _partial_=True, _convert_="all"))


def checked(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls `make`; what it refuses with a ValueError arrives as the user's mistake."""
    try:
        return make(*args, **kwargs)
    except ValueError as error:
        raise Mistake(str(error)) from error


def event(node: Mapping[str, Any]) -> Event:
    """The Event that a configuration writes as shape and support."""
    return Event(tuple(node["shape"]), node["support"])


def event_of_files(dataset: Mapping[str, Any]) -> Event:
    """What the files of a dataset hold: its `event`, or, where that is null, what its module finds in them."""
    if dataset["event"] is not None:
        return event(dataset["event"])
    settings = {key: value for key, value in dataset.items() if key not in (*OWN_KEYS["dataset"], "_target_")}
    found: Event = import_module(target(dataset).__module__).event(**settings)
    return found


def fits(model: type, protocol: type) -> bool:
    """Whether a model class has every method of a Protocol."""
    members = [name for name in vars(protocol) if not name.startswith("_") and callable(getattr(protocol, name))]
    return all(callable(getattr(model, name, None)) for name in members)

