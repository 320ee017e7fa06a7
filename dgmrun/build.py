"""From a configuration to objects. Only this file calls Hydra's `instantiate`.

A saved configuration is a stranger's file. In each group it can name only what could be composed there: the `_target_`
strings of that group's YAML in the search path, compared whole.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import options
from dgmrun.protocols import Event

TARGET = re.compile(r"^\s*_target_:\s*([\w.]+)", re.MULTILINE)
OWN_KEYS = {
    "optimizer": ("clip_norm", "ema"),
    "schedule": ("horizon",),
    "dataset": ("name", "event", "context", "pixel_order", "binarisation", "batch_size"),
}
"""Keys of a group that are ours, not its target's."""


def check_targets(config: Mapping[str, Any], search_path: Sequence[Path] = ()) -> None:
    """Refuses every `_target_` but those that the YAML files of the same group name.

    Raises:
        Mistake: names the key and the target.
    """
    for group, node in config.items():
        files = options(group, search_path).values()
        allowed = {target for file in files for target in TARGET.findall(file.read_text(errors="replace"))}
        _check_node(node, allowed, group)


def _check_node(node: Any, allowed: set[str], key: str) -> None:
    entries = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for name, entry in entries:
        where = f"{key}.{name}"
        if name == "_target_" and (not isinstance(entry, str) or entry not in allowed):
            raise Mistake(
                f"`{where}` must be one that configuration files name, but is {entry!r}{nearest(str(entry), allowed)}",
                "dgmrun --config-dir=FOLDER ... adds configuration files of your own",
            )
        _check_node(entry, allowed, where)


def target(node: Mapping[str, Any]) -> Any:
    """The class or function that a node names.

    Raises:
        Mistake: it cannot be imported.
    """
    module, _, name = str(node["_target_"]).rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise Mistake(f"`_target_` must be importable, but {module}.{name} is not: {error}") from None


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
    except (TypeError, OverflowError) as error:
        line = str(error).splitlines()[0]
        raise Mistake(f"the settings must have types and sizes that can be used, but: {line}") from error


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
