"""Construction of objects from a configuration, by `_target_`, nested ones, too.

A saved configuration is not trusted: a `_target_` in a group must equal one that the YAML files of the same group in
the search path contain.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import methods, options, sections
from dgmrun.protocols.language import Language
from dgmrun.protocols.methods import suits
from dgmrun.protocols.models import UnnormalisedDensity, roles
from dgmrun.protocols.sound import Sound
from dgmrun.protocols.values import Event, Modes
from dgmrun.report.progress import bar
from dgmrun.workbench.imports import imported

TARGET = re.compile(r"^\s*_target_:\s*([\w.]+)", re.MULTILINE)
LISTED = re.compile("must be one of (.*), but is (.*)$")
"""Pattern of a message that lists the words that a setting may be."""
_parsed = cache(yaml.safe_load)
OWN_KEYS: dict[str, tuple[str, ...]] = {
    "model": (),
    "objective": ("teacher_weights",),
    "optimizer": ("clip_norm", "ema"),
    "schedule": ("horizon",),
    "logger": (),
    "dataset": ("name", "event", "labels", "pixel_order", "binarisation", "transform", "batch_size"),
}
"""Groups with a target, and the keys of each that are not passed to the target."""
OPTIONAL = {"teacher_weights"}
"""Those of these keys that an option may lack."""


def check_targets(config: Mapping[str, Any], search_path: Sequence[Path] = ()) -> None:
    """Refuses any `_target_` that the YAML files of the same group do not contain, and groups without required keys.

    Raises:
        Mistake: a group is invalid; the message names the key.
    """
    for group, node in config.items():
        files = options(group, search_path).values()
        allowed = {target for file in files for target in TARGET.findall(file.read_text(errors="replace"))}
        _check_node(node, allowed, group)
    for group, keys in OWN_KEYS.items():
        node = config[group]
        lacking = {"_target_", *keys} - OPTIONAL - (node.keys() if isinstance(node, Mapping) else set())
        if lacking and not (group in ("schedule", "logger") and node is None):
            raise Mistake(f"`{group}` must have the key {min(lacking)}, but has not")
    for group in methods():
        for name, node in config[group].items():
            if name not in sections(group)[group] and not (isinstance(node, Mapping) and "_target_" in node):
                raise Mistake(f"`{group}.{name}` must be a method with a _target_, but is {node!r}")


def _check_node(node: Any, allowed: set[str], key: str) -> None:
    if key.rpartition(".")[2] == "_target_" and (not isinstance(node, str) or node not in allowed):
        raise Mistake(
            f"`{key}` must be one that configuration files name, but is {node!r}{nearest(str(node), allowed)}",
            "dgmrun --config-dir=FOLDER ... adds configuration files of your own",
        )
    for name, entry in node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ():
        _check_node(entry, allowed, f"{key}.{name}")


def target(node: Mapping[str, Any]) -> Any:
    """Returns the class or function that a node names.

    Raises:
        Mistake: it cannot be imported.
    """
    return imported(str(node.get("_target_")))


def maker(group: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    """Returns the target of a node with its settings bound; further arguments are passed when it is called.

    Errors raised by the checks of the target are converted to mistakes.
    """
    make = _bound(group, {key: value for key, value in node.items() if key not in OWN_KEYS.get(group, ())})
    return partial(checked, make) if group == "dataset" else partial(checked, _blaming, group, make)


def _bound(key: str, node: Mapping[str, Any]) -> partial[Any]:
    """Returns the target of a node with its settings, in ordinary dictionaries and lists.

    Raises:
        Mistake: the target does not take a setting.
    """
    settings = {name: _made(f"{key}.{name}", value) for name, value in node.items() if name != "_target_"}
    make = partial(target(node), **settings)
    try:
        inspect.signature(make.func).bind_partial(**settings)
    except TypeError as error:
        raise Mistake(f"`{key}` must have keys that {node['_target_']} takes, but: {error}") from None
    return make


def _made(key: str, value: Any) -> Any:
    """Returns a copy of a setting, with what it names in place of each nested node with a target.

    That is an instance of a class; of a function, the function itself, with its settings bound.
    """
    if isinstance(value, Mapping):
        if "_target_" in value:
            made = _bound(key, value)
            return made if inspect.isfunction(made.func) else checked(_blaming, key, made)
        return {name: _made(f"{key}.{name}", entry) for name, entry in value.items()}
    return [_made(key, entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _blaming(group: str, make: partial[Any], *args: Any, **kwargs: Any) -> Any:
    """Calls `make`; an error is raised with the key at fault, of a nested node as a whole.

    Raises:
        ValueError: a setting is invalid.
    """
    try:
        return make(*args, **kwargs)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        if "`" in str(error):
            raise ValueError(str(error).replace(f"`{group.rpartition('.')[2]}.", f"`{group}.")) from error
        key = _at_fault(make, error, *args, **kwargs)
        where, its = (f"{group}.{key}", f"is {make.keywords[key]}: ") if key else (group, "")
        raise ValueError(f"`{where}` must be what {make.func.__name__} takes, but {its}{error}") from error


def _at_fault(make: partial[Any], error: Exception, *args: Any, **kwargs: Any) -> str | None:
    """Returns the first setting without which, by its default, the error is not raised; None if there is none."""
    for key in make.keywords:
        others = {name: value for name, value in make.keywords.items() if name != key}
        try:
            make.func(*args, **others, **kwargs)
        except Exception as other:
            if str(other) == str(error) or isinstance(other, TypeError):
                continue
        return key
    return None


def checked(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls `make`; converts a ValueError to a mistake of the user, with the nearest of the words that it lists."""
    try:
        return make(*args, **kwargs)
    except ValueError as error:
        listed = LISTED.search(str(error))
        raise Mistake(f"{error}{nearest(listed[2], listed[1].split(', ')) if listed else ''}") from error
    except (TypeError, OverflowError) as error:
        line = str(error).splitlines()[0]
        raise Mistake(f"the settings must have types and sizes that can be used, but: {line}") from error


def event(node: Any, key: str = "dataset.event") -> Event:
    """Returns the Event that a configuration specifies by shape, kind and, if applicable, size.

    Raises:
        Mistake: the specification is invalid.
    """
    shape, kind = (node.get("shape"), node.get("kind")) if isinstance(node, Mapping) else (None, None)
    known = isinstance(node, Mapping) and node.keys() <= {"shape", "kind", "size"}
    if not known or not isinstance(kind, str) or not isinstance(shape, list) or not all(map(_is_length, shape)):
        raise Mistake(f"`{key}` must be {{shape: [sizes], kind: word, size: number or nothing}}, but is {node!r}")
    try:
        return Event(tuple(shape), kind, node.get("size"))
    except ValueError as error:
        raise Mistake(str(error).replace("`event.", f"`{key}.")) from None


def written(event: Event) -> dict[str, Any]:
    """Returns the specification of an Event in a configuration."""
    node = {"shape": list(event.shape), "kind": event.kind}
    return node if event.size is None else {**node, "size": event.size}


def _is_length(value: Any) -> bool:
    return type(value) is int and value > 0


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration with the event, labels and transform of a dataset read from its files where null.

    Raises:
        Mistake: the event is not specified and cannot be read from the files.
    """
    dataset = dict(config["dataset"])
    with bar("loading"):
        maker("dataset", dataset)
    if dataset["transform"] is None:
        dataset["transform"] = _transform(config["model"], dataset)
    for key in ("event", "labels"):
        if dataset[key] is None and (found := _of_module(dataset, key)) is not None:
            dataset[key] = written(found)
    if dataset["event"] is None:
        raise Mistake("`dataset.event` must be {shape: [sizes], kind: word}, but is null")
    return {**config, "dataset": dataset}


def _transform(model: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Returns the transform of the dataset's module.

    It is `none` if the event or bits are given, or if the model takes counts or cannot take what is made of them.
    """
    if dataset["binarisation"] != "none" or dataset["event"] is not None:
        return "none"
    seen, found = _of_module(dataset, "event"), _of_module(dataset, "transform") or "none"
    if seen is None or seen.kind != "counts":
        return "none" if seen is None else found
    return "none" if _takes(model, seen) or not _takes(model, Event(seen.shape, "real")) else found


def _takes(model: Mapping[str, Any], event: Event) -> bool:
    try:
        maker("model", model)(event=event)
    except Mistake:
        return False
    return True


def modes(dataset: Mapping[str, Any]) -> Modes | None:
    """Returns the known modes of a dataset, or None."""
    found: Modes | None = _of_module(dataset, "known_modes")
    return found


def classes(dataset: Mapping[str, Any]) -> list[str]:
    """Returns the word of each class of a dataset's labels; an empty list if they have none."""
    return list(_of_module(dataset, "classes") or ())


def language(dataset: Mapping[str, Any]) -> Language | None:
    """Returns what the strings of a dataset mean, or None."""
    found: Language | None = _of_module(dataset, "language")
    return found


def sound(dataset: Mapping[str, Any]) -> Sound | None:
    """Returns what the examples of a dataset sound like, or None."""
    found: Sound | None = _of_module(dataset, "sound")
    return found


def curves(dataset: Mapping[str, Any]) -> list[str]:
    """Returns the name of each curve of an example of a dataset; an empty list if it is none of curves."""
    return list(_of_module(dataset, "curves") or ())


def division(dataset: Mapping[str, Any]) -> str | None:
    """Returns how the examples of a dataset were divided into splits, of one that can be divided otherwise, or None."""
    found: str | None = _of_module(dataset, "division")
    return found


def doubts(dataset: Mapping[str, Any]) -> list[str]:
    """Returns what the files of a dataset may mean otherwise than they were understood."""
    return list(_of_module(dataset, "doubts") or ())


def _of_module(dataset: Mapping[str, Any], name: str) -> Any:
    """Calls a function in the module of a dataset's loader, if there is one, with the settings of the dataset."""
    module = import_module(target(dataset).__module__)
    settings = {key: value for key, value in dataset.items() if key not in (*OWN_KEYS["dataset"], "_target_")}
    return checked(getattr(module, name), **_made("dataset", settings)) if hasattr(module, name) else None


def partners(group: str, option: str, search_path: Sequence[Path] = ()) -> dict[str, list[str]]:
    """Returns what can be combined with an option, by group: objectives and methods for a model, models for either."""
    one = _class(group, options(group, search_path)[option])
    found: dict[str, list[str]] = {}
    for other in ("objective", *methods()) if group == "model" else ("model",):
        classes = dict(_classes(other, search_path))
        pairs = {name: (one, each) if group == "model" else (each, one) for name, each in classes.items()}
        found[other] = [name for name, (model, asks) in pairs.items() if suits(model, asks.requires)]
    if group == "model" and roles(one).density is UnnormalisedDensity:
        found["likelihood"] = found["log_z"]
    return found


def _classes(group: str, search_path: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    """Returns the classes of the options of a group, except options of the user that cannot be imported."""
    for name, file in options(group, search_path).items():
        with suppress(Mistake):
            yield name, _class(group, file)


def _class(group: str, file: Path) -> Any:
    """Returns the class that an option's file names."""
    loaded = _parsed(file.read_text())
    return target(loaded.get(group) or loaded.get(file.stem) or loaded)
