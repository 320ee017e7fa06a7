"""Errors of Hydra and OmegaConf in the words of dgmrun: the key, what it must be, and what to do."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from dgmrun.command.arguments import Arguments, split
from dgmrun.command.checks import SHOW_KEYS
from dgmrun.errors import Mistake, nearest
from dgmrun.paths import literal, options

RANGES = "interval(low, high), range(start, stop), choice(a, b), tag(log, interval(low, high))"
UNSET = re.compile(r"Environment variable '(.+?)' not found|interpolation '\$\{oc\.env: *([^,}]+)")
"""Pattern of messages about a value that an environment variable should give; the second is of a group's option."""


@contextmanager
def mistakes(arguments: Arguments) -> Iterator[None]:
    """Converts errors of Hydra and OmegaConf to mistakes of one line that suggest the closest key or option."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise _mistake(error, arguments) from error


def _mistake(error: Exception, arguments: Arguments) -> Mistake:
    causes = list(_causes(error))
    if isinstance(error, OverrideParseException):
        key, value = split(error.override)
        hint = f"dgmrun ... {shlex.quote(f'{key}={literal(value)}')} makes it a text"
        if called := re.match(r"(\w+)\(", value):
            hint = f"{RANGES}: these are ranges{nearest(called[1], re.findall('[a-z]+', RANGES))}"
        elif re.search(r"\s[\w.]+=", value):
            hint = "each key=value as a word of its own"
        return Mistake(f"`{key}` must be a value that Hydra can read, but is {value}", hint)
    text = " ".join(str(causes[0]).split())
    if text.startswith("You must specify 'model'"):
        meant = [f"model={value}" for key, value in map(split, arguments.overrides) if nearest(key, ["model"])]
        return Mistake("`model` must be given, but is not", f"dgmrun {[*meant, 'model=rbm'][0]} train")
    if (taken := _not_taken(text, arguments)) is not None:
        return taken
    for group, _ in map(split, arguments.overrides):
        if f"Could not find '{group}/" in text:
            value = text.split(f"'{group}/")[1].split("'")[0]
            known = options(group, arguments.search_path)
            of_file = f"dataset=file dataset.path={value}" if group == "dataset" and os.path.exists(value) else None
            return Mistake(
                f"`{group}` must be one of {', '.join(known)}, but is {value}{nearest(value, known)}", of_file
            )
    for key, _ in map(split, arguments.overrides):
        if f"'{key}'" in text and ("not in struct" in " ".join(map(str, causes)) or "Could not override" in text):
            return Mistake(f"there is no key `{key}`", SHOW_KEYS)
    return Mistake(text)


def _not_taken(text: str, arguments: Arguments) -> Mistake | None:
    """Returns the mistake of a value that is to be taken from elsewhere, by `${...}`, and cannot."""
    full_key = re.search(r" full_key: (\S+)", text)
    if found := UNSET.search(text):
        name = found[1] or found[2]
        of_words = [key for key, value in map(split, arguments.overrides) if name in value]
        key = full_key[1] if full_key else [*of_words, "defaults"][0]
        must = f"`{key}` must be taken from the environment variable {name}, but that is not set"
        cure = f"sets it, or ${{oc.env:{name},VALUE}} has a value for when it is not"
        if found[2] and of_words:  # Hydra takes few options so
            cure = f'and {key}="${name}" has the shell take it'
        return Mistake(must, f"export {shlex.quote(name)}=VALUE {cure}")
    if found := re.match(r"(\w+)/\S+: Default List Overrides are not allowed .* interpolated", text):
        group = found[1]
        return Mistake(
            f"`{group}` must be the name of an option, as its file chooses others, but is taken from elsewhere",
            f'dgmrun ... {group}="$VARIABLE" has the shell take it from an environment variable',
        )
    if found := re.match(r"Interpolation key '(\w+)\.(\w+)' not found full_key: ([\w.]+)", text):
        group, key, taker = found.groups()
        return Mistake(
            f"`{group}` must be one with the key {key}, from which `{taker}` is taken, but has not",
            f"without {group}=..., that of the model",
        )
    if full_key and "nterpolation" in text:
        why = text[: full_key.start()]
        return Mistake(f"`{full_key[1]}` must be a value that can be taken from where it says, but: {why}", SHOW_KEYS)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__  # type: ignore[assignment]
