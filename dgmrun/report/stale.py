"""What is of older weights than a run has now, and the command that renews it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dgmrun.paths import sections, short, words
from dgmrun.report.figures import at, every

SPLITS = ("train", "valid", "test")


def renewal(
    path: Path, results: Mapping[str, Any], weights: str | None, among: Collection[str] | None = None
) -> str | None:
    """Returns the command that measures and samples anew what is of older weights; None if nothing is.

    Args:
        path: the run directory.
        results: the content of its results.json.
        weights: sha256 of its weights; None if it has none.
        among: the stages that are asked for; None for all.
    """
    stale: dict[str, set[str | None]] = {}
    for name, figure in every(results).items():
        word = name.partition(".")[0]
        if word in (words() if among is None else among) and figure.is_stale(weights):
            stale.setdefault(word, set()).add(figure.split)
    if among is None and weights is not None and at(results, "sample", "of", "weights_sha256") not in (None, weights):
        stale["sample"] = set()
    splits = (_splits(word, of) for word, of in stale.items())
    return shlex.join(["dgmrun", *stale, f"run={short(path)}", *filter(None, splits)]) if stale else None


def _splits(word: str, of: set[str | None]) -> str:
    """Returns the setting by which a stage evaluates these splits, or nothing where that is its default."""
    default = sections(word)[word].get("split")
    asked = [split for split in SPLITS if split in of]
    if default is None or asked in ([], [default]):
        return ""
    return f"{word}.split={asked[0] if len(asked) == 1 else '[' + ','.join(asked) + ']'}"
