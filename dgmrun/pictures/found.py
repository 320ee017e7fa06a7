"""Data for plots, read from the files of runs, which are not trusted.

Each reader raises a ValueError with a message of one line if something cannot be plotted.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy
from numpy import ndarray

from dgmrun.pictures.evidence import Curves, Points, Row
from dgmrun.pictures.grid import MOST
from dgmrun.report.figures import number
from dgmrun.report.terminal import plain
from dgmrun.run import untrusted
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure, figures

LARGEST_FILE, LARGEST_SIDE, LARGEST_ROW, LARGEST_SHEET = 2**28, 512, 2**14, 2**24
"""Limits: bytes of an uncompressed file, pixels per side, columns of a table (or channels), and numbers in a panel."""
LARGEST_VALUE = 1e12
MOST_ROWS, MOST_CURVES = 1000, 48
BEST = ("exact", "bridge", "ais", "importance")
"""Methods, the most trusted first."""


def of_weights(results: Mapping[str, Any], word: str, of: str) -> dict[str, Figure]:
    """Returns the figures of a stage for the weights with this sha256, by method."""
    found = figures(results).get(word, {})
    return {plain(name): figure for name, figure in found.items() if figure.of.weights_sha256 == of}


def best(entries: Mapping[str, Figure]) -> float:
    """Returns the value by the most trusted available method.

    Raises:
        ValueError: there is none.
    """
    for name in BEST:
        if name in entries and (value := drawable(entries[name].value)) is not None:
            return value
    raise ValueError(f"it has no log Z of its weights by {', '.join(BEST)}")


def curves(entries: Mapping[str, Figure]) -> Curves:
    """Returns the convergence curves of methods that have one, and the exact value."""
    exact = (drawable(figure.value) for figure in entries.values() if figure.kind == "exact")
    found = {name: rows(figure) for name, figure in islice(entries.items(), MOST_CURVES)}
    return Curves({name: each for name, each in found.items() if each}, next(exact, None))


def levels(entries: Mapping[str, Figure], most: float) -> dict[str, list[Row]]:
    """Returns figures without a curve, as horizontal lines from 1 to `most` samples."""
    found: dict[str, list[Row]] = {}
    for name, figure in islice(entries.items(), MOST_CURVES):
        value = drawable(figure.value)
        low, high = map(drawable, figure.interval or (None, None))
        if not rows(figure) and value is not None:
            found[name] = [(count, value, low, high) for count in (1.0, most)]
    return found


def rows(figure: Figure) -> list[Row]:
    """Returns the rows of a curve that can be plotted, at most 1000; without a band if the figure has no interval."""
    has_band = figure.interval is not None
    return [
        (count, value, drawable(low) if has_band else None, drawable(high) if has_band else None)
        for count, value, low, high in (map(drawable, row) for row in figure.curve[:MOST_ROWS])
        if count is not None and count >= 1 and value is not None
    ]


def drawable(value: Any) -> float | None:
    """Returns a number that an axis can show, else None."""
    known = number(value)
    return None if known is None or abs(known) > LARGEST_VALUE else float(known)


def points(run: Run, of: str, log_z: float) -> Points:
    """Returns the densities in proposal.npz, if they belong to the model whose weights have the sha256 `of`.

    Raises:
        ValueError: it is missing, or has other shapes.
    """
    found = _arrays(run, "proposal.npz", ("of", "log_f_of_q", "log_q_of_q", "log_f_of_p", "log_q_of_p"))
    if found.pop("of").astype(numpy.uint8).tobytes().hex() != of:
        raise ValueError("its proposal.npz is of another model than its log Z")
    f_of_q, q_of_q, f_of_p, q_of_p = found.values()
    pairs = ((f_of_q, q_of_q, 1), (f_of_p, q_of_p, 3))
    if any(f.shape != q.shape or f.ndim != dims for f, q, dims in pairs) or len(f_of_p) != 2:
        shapes = ", ".join(str(list(each.shape)) for each in found.values())
        raise ValueError(f"it must have [samples] twice and [2, chains, states] twice, but has {shapes}")
    of_q, from_q, from_elsewhere = (
        _pair(f, q, log_z) for f, q in ((f_of_q, q_of_q), *zip(f_of_p, q_of_p, strict=True))
    )
    return Points(*of_q, *zip(from_q, from_elsewhere, strict=True))


def _pair(log_f: ndarray, log_q: ndarray, log_z: float) -> tuple[ndarray, ndarray]:
    """Returns log p and log q, flattened, where both can be plotted."""
    p, q = _floats(log_f.ravel()) - log_z, _floats(log_q.ravel())
    shown = (abs(p) < LARGEST_VALUE) & (abs(q) < LARGEST_VALUE)
    if not shown.any():
        raise ValueError("it has samples without a finite log-probability, or none")
    return p[shown], q[shown]


def samples(run: Run) -> dict[str, ndarray]:
    """Returns `data` and `x`, at most 100 examples each, from samples.npz.

    Raises:
        ValueError: one is missing, or is neither a table nor images.
    """
    found = _arrays(run, "samples.npz", ("data", "x"))
    for name, array in found.items():
        if array.ndim not in (2, 4) or array.shape[1] > LARGEST_ROW or max(array.shape[2:], default=0) > LARGEST_SIDE:
            raise ValueError(f"its {name} must be a table or pictures, and not too large, but is {list(array.shape)}")
        if not 0 < array[:MOST].size <= LARGEST_SHEET:
            raise ValueError(f"its {name} must have 1 to {LARGEST_SHEET} entries, but is {list(array.shape)}")
    shown = {name: _floats(array[:MOST]) for name, array in found.items()}
    if not all((abs(array) < LARGEST_VALUE).all() for array in shown.values()):
        raise ValueError("its entries must be finite numbers below 1e12, but are not")
    return shown


def _floats(array: ndarray) -> ndarray:
    with numpy.errstate(all="ignore"):
        return array.astype(float)


def _arrays(run: Run, name: str, parts: tuple[str, ...]) -> dict[str, ndarray]:
    """Returns these arrays of an .npz file, which must be numeric."""
    file = run.path / name
    if not file.is_file():
        raise ValueError(f"there is no {name}")
    found = untrusted.arrays(file, LARGEST_FILE)
    for part in parts:
        if part not in found or found[part].dtype.kind not in "biuf":
            raise ValueError(f"it must have numbers {part}, but has {', '.join(found) or 'nothing'}")
    return {part: numpy.atleast_1d(found[part]) for part in parts}
