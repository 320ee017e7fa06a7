"""Readers of untrusted files: they return plain values within bounds and execute nothing.

Anything else is refused with a ValueError of one line; the caller adds which file it is about.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor

from dgmrun.run.figures import FIGURE, entries

if TYPE_CHECKING:
    from numpy import ndarray

LARGEST_CONFIG, LARGEST_RESULTS = 2**16, 2**23
DEEPEST = 32
LARGEST_INTEGER = 2**63
UNPACKED, PACKING = 2**26, 100
"""Bytes that any archive may unpack to, and the largest compression ratio beyond that; DEFLATE can reach 1032."""
NUMPY = (b"\x93NUMPY", b"PK")
"""How .npy and .npz files begin."""
SECTION = re.compile(r"^(?=\w)(?!\A)", re.MULTILINE)
"""Before each key of the outermost mapping but the first."""
KEY = re.compile(r"[^\W_][\w-]*|_target_")
RESERVED = ("hydra", "defaults")

DATASET = {
    **{"name": str, "kind": str, "transform": str, "binarisation": str, "given": str, "levels": int, "dims": int},
    "labels": str,
    "division": str,
    "splits": {...: {"sha256": str}},
    "classes": [str],
    "doubts": [str],
}
TRAIN = {"steps": int, "weights_step": int, "seconds": float, "processes": int, "complete": bool, "history": [{}]}
SHAPE = {
    "status": ("running", "done", "failed", "interrupted"),
    "error": str,
    "path": str,
    "config_dir": str,
    "dataset": DATASET,
    "train": TRAIN,
    "stages": {...: str},
    "inputs": [{"run": str, "role": str, "weights_sha256": str, "model": str, "has_density": bool}],
    "sample": {},
}
"""Schema of the parts of results.json that are read elsewhere: a type, a tuple of allowed words, a mapping (`...`
stands for any key), or a list, with one schema for all entries or one for each.

Any part may be missing or null, and parts not named here are not checked.
"""


def config(file: Path) -> dict[str, Any]:
    """Reads a config.yaml: a mapping of finite plain values, without interpolations or keys that Hydra interprets.

    Raises:
        ValueError: the file holds anything else.
    """
    text = _text(file, LARGEST_CONFIG)
    try:
        sections = [_mapping(part, _Fast) for part in SECTION.split(text)]
        found = {key: value for section in sections for key, value in section.items()}
        if len(found) == sum(map(len, sections)):
            return deepcopy(found)
    except (ValueError, yaml.YAMLError):  # it is written otherwise than a run writes it, or it is wrong
        pass
    try:
        return deepcopy(_mapping(text, _Exact))
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise ValueError(f"{', '.join(filter(None, (error.context, error.problem)))}{line}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


@lru_cache(maxsize=512)
def _mapping(text: str, loader: type[_Fast | _Exact]) -> dict[str, Any]:
    """Parses a configuration or a section; the last ones are kept, as runs of a sweep have most in common."""
    found = yaml.load(text, loader)
    if not isinstance(found, dict):
        raise ValueError(f"it is no mapping but {type(found).__name__}")
    _refuse_dispatch(found)
    return found


def results(file: Path) -> dict[str, Any]:
    """Reads a results.json: a mapping with finite numbers and unique keys that matches `SHAPE`.

    Raises:
        ValueError: the file holds anything else.
    """
    try:
        found = json.loads(
            _text(file, LARGEST_RESULTS) or "{}",
            object_pairs_hook=_unique,
            parse_constant=_finite,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(found)
    if not isinstance(found, dict):
        raise ValueError(f"it is no mapping but {type(found).__name__}")
    found = {key: value for key, value in found.items() if value is not None}
    _check_shape(found, SHAPE, "it")
    for word, label, entry in entries(found):
        _check_shape(entry, FIGURE, f"{word}.{label}")
    return found


def arrays(file: Path, most: int | None = None, packing: float = PACKING) -> dict[str, ndarray]:
    """Reads all arrays of an .npz file, or that of an .npy file as x; of at most `most` bytes in total.

    Args:
        file: the file.
        most: largest number of bytes that it may unpack to; None for no limit of its own.
        packing: largest compression ratio of large files; infinite for the user's own data.

    Raises:
        ValueError: the file is neither, is damaged, or unpacks to far more than its size.
    """
    import numpy

    try:
        check_packing(file, most, packing)
        with file.open("rb") as stream:
            if not stream.read(6).startswith(NUMPY):
                raise ValueError("it does not begin as a file of numpy does")
            stream.seek(0)
            loaded = numpy.load(stream, allow_pickle=False)
            found = {"x": loaded} if isinstance(loaded, numpy.ndarray) else dict(loaded)
    except Exception as error:  # an archive can fail in any way
        text = str(error) or type(error).__name__
        raise ValueError("it has more than arrays of numbers" if "allow_pickle" in text else text) from error
    for name, array in found.items():
        if not isinstance(array, numpy.ndarray):
            raise ValueError(f"its part {name} is no array")
    return found


def check_packing(file: Path, most: int | None = None, packing: float = PACKING) -> None:
    """Checks that an archive does not unpack to far more than its size, nor to more than `most` bytes.

    Raises:
        ValueError: it does, or its compression hides its unpacked size.
    """
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        members = zipfile.ZipFile(stream).infolist() if zipfile.is_zipfile(stream) else []
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ValueError("it is packed otherwise than numpy packs")
    unpacked = sum(member.file_size for member in members) if members else size
    if most is not None and unpacked > most:
        raise ValueError(f"it must hold at most {most} bytes, but holds {unpacked}")
    if unpacked > UNPACKED + packing * size:
        raise ValueError(f"its {size} bytes would unpack to {unpacked}; numpy.savez packs nothing")


class _Plain(Composer, SafeConstructor):
    """Loader of YAML, without its parser, that refuses aliases, merges and duplicate keys."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses aliases, by which a small file could expand without limit, and too deep nesting."""
        if self.check_event(yaml.AliasEvent):  # type: ignore[attr-defined]
            raise yaml.YAMLError("it has an alias")
        if self.depth == DEEPEST:
            raise yaml.YAMLError("it is nested too deeply")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuses merges and duplicate keys."""
        keys = [str(key.value) for key, _ in node.value]
        if "<<" in keys or len(set(keys)) < len(keys):
            raise yaml.YAMLError("it has a merge, or a key twice")
        super().flatten_mapping(node)


class _Exact(_Plain, yaml.SafeLoader):
    """With the parser in Python, which also reads what no text should have: the half of a surrogate pair."""


class _Fast(_Plain, yaml.CSafeLoader):
    """With the parser in C, several times as fast."""

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)


def _text(file: Path, most: int) -> str:
    with file.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return content.decode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a key twice")
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no finite number")
    return value


def _entries(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [entry for one in level for entry in _entries(one)]
    if level:
        raise ValueError("it is nested too deeply")


def _refuse_dispatch(value: Any) -> None:
    """Refuses keys and values that could make Hydra do more than read values."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or not KEY.fullmatch(key) or key in RESERVED:
                raise ValueError(f"it must not have the key `{key}`")
    elif isinstance(value, str) and "${" in value:
        raise ValueError(f"it must hold plain values, but has the interpolation {value!r}")
    elif not (value is None or isinstance(value, (str, list)) or _is_number(value)):
        raise ValueError(f"it must hold plain values, but has {value!r}")
    for entry in _entries(value):
        _refuse_dispatch(entry)


def _is_number(value: Any) -> bool:
    return abs(value) < LARGEST_INTEGER if isinstance(value, int) else isinstance(value, float) and math.isfinite(value)


def _check_shape(value: Any, shape: Any, where: str) -> None:
    if value is None:
        return
    if not _is_like(value, shape):
        raise ValueError(f"{where} must not be {value!r}")
    if isinstance(value, list):
        for entry, inner in zip(value, cycle(shape), strict=False):
            _check_shape(entry, inner, f"an entry of {where}")
    elif isinstance(value, dict):
        for key, entry in value.items():
            if (inner := shape.get(key, shape.get(...))) is not None:
                _check_shape(entry, inner, f"{key} in {where}")


def _is_like(value: Any, shape: Any) -> bool:
    if isinstance(shape, tuple):
        return value in shape
    if isinstance(shape, list):
        return isinstance(value, list) and len(shape) in (1, len(value))
    if shape is float:
        return _is_number(value) and not isinstance(value, bool)
    if shape is int:
        return type(value) is int and 0 <= value < LARGEST_INTEGER
    return isinstance(value, shape if isinstance(shape, type) else dict)
