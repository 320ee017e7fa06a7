"""metrics.csv: every scalar of a training, in rows of step, tag and value.

A row is one number, as tags come at steps of their own, and some for the first time late: nothing that was written is
ever moved, and `pandas.read_csv(file).pivot(index="step", columns="tag", values="value")` makes columns of the tags.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dgmrun.run.files import replace

METRICS = "metrics.csv"
HEADING = ("step", "tag", "value")
LARGEST = 2**26
"""Most bytes that are read of a file."""
Curves = dict[str, list[tuple[int, float]]]
"""Steps and values of each tag."""


def append(run: Path, values: Mapping[str, float], step: int) -> None:
    """Adds the values of a step, in one write."""
    with (run / METRICS).open("a", newline="") as stream:
        stream.write(_text((step, tag, value) for tag, value in values.items()))


def keep(run: Path, step: int) -> None:
    """Makes the file, or leaves in it the rows up to a step, with none that a kill cut short."""
    replace(run / METRICS, _text([HEADING, *(row for row in _rows(run, None) if row[0] <= step)]).encode())


def curves(run: Path) -> Curves:
    """Returns the finite values of each tag; none if there is no file that can be read."""
    found: Curves = {}
    for step, tag, value in _rows(run, LARGEST):
        if math.isfinite(value):
            found.setdefault(tag, []).append((step, value))
    return found


def _rows(run: Path, most: int | None) -> Iterator[tuple[int, str, float]]:
    """Yields the rows that are whole, of a file that may be a stranger's."""
    try:
        with (run / METRICS).open("rb") as stream:
            lines = stream.read(most).decode(errors="replace").split("\n")
    except OSError:
        return
    for line in lines[:-1]:
        try:
            step, tag, value = next(csv.reader([line]))
            yield int(step), tag, float(value)
        except (ValueError, StopIteration, csv.Error):
            continue


def _text(rows: Iterable[Iterable[object]]) -> str:
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows(rows)
    return content.getvalue()
