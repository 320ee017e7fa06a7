"""Tables in .parquet, as pandas and others write them, if pyarrow is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmrun.data.tables import MISSING, Table
from dgmrun.errors import Mistake

INDEX = re.compile(r"__index_level_\d+__")
"""Names that pandas gives to its index."""


def read(path: Path) -> Table:
    """Reads a table.

    Raises:
        Mistake: pyarrow is not installed.
        ValueError: the file is damaged, or an entry is neither a number nor a word.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        must = "`dataset.path` must be another kind of file where pyarrow is not installed, but is"
        raise Mistake(f"{must} {path}", "pip install pyarrow") from None
    try:
        loaded = parquet.ParquetFile(path).read()
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(str(error) or type(error).__name__) from error
    names = [name for name in loaded.column_names if not INDEX.fullmatch(name)]
    columns = [_column(loaded.column(loaded.column_names.index(name))) for name in names]
    if not columns or not len(columns[0][0]):
        raise ValueError("it has no rows")
    words = {column: found for column, (_, found) in enumerate(columns) if found}
    said = ["the index of pandas left out"] if len(names) < len(loaded.column_names) else []
    return Table(np.stack([numbers for numbers, _ in columns], 1), names, words, understood=said)


def _column(column: Any) -> tuple[NDArray[Any], dict[int, str]]:
    """Returns the numbers of a column, nan where there is none, and its words by row."""
    from pyarrow import types

    kind = column.type
    if types.is_nested(kind):
        raise ValueError(f"it has a column of {kind}")
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        values = [np.nan if entry is None else float(entry) for entry in column.to_pylist()]
        return np.array(values, dtype=np.float64), {}
    words = {row: str(entry) for row, entry in enumerate(column.to_pylist()) if entry is not None}
    return np.full(len(column), np.nan), {row: word for row, word in words.items() if word.lower() not in MISSING}
