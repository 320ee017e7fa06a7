"""`dgmrun compare`: tables of runs, and rankings of those that were scored on the same examples."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from dgmrun.errors import Mistake
from dgmrun.report.figures import LEGEND, at, beside, cell, number, with_error
from dgmrun.report.paired import Ranking, rankings
from dgmrun.report.runs import Entry, read
from dgmrun.report.terminal import Column, Parser, plain, show, tables
from dgmrun.run.directory import CONFIG
from dgmrun.run.figures import Figure

RANKED = (
    "Differences are to the first run, over the same examples, with their paired standard error, which "
    "covers no bias. Not resolved: 0 is in the 99.7 % interval, by Student's t. Stale figures and upper bounds "
    "are not ranked."
)
CHOICES = ("model", "objective", "dataset", "seed")


def main(argv: list[str]) -> None:
    """Prints the settings in which the runs below the given directories differ, and their figures.

    Raises:
        Mistake: the arguments are invalid, or a directory has no run.
    """
    arguments = parser().parse_args(argv)
    if arguments.figures is not None:
        _check_folder(arguments.figures)
    output = _csv if arguments.csv else _json if arguments.json else _tables
    output(entries := read(arguments.dirs or [Path("outputs")]))
    if arguments.figures is not None:
        from dgmrun.pictures import exhibit

        exhibit.write(entries, Path(arguments.figures))


def parser() -> Parser:
    """Returns the argument parser."""
    parsed = Parser(prog="dgmrun compare", description="Runs side by side.", allow_abbrev=False)
    parsed.add_argument("dirs", nargs="*", metavar="DIR", type=Path, help="folders with runs (outputs)")
    form = parsed.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="one row per run")
    form.add_argument("--json", action="store_true", help="one list, of every run's results.json")
    parsed.add_argument("--figures", metavar="FOLDER", help="draw samples, log Z and proposals into it")
    return parsed


def _check_folder(figures: str) -> None:
    """Creates the directory for plots.

    Raises:
        Mistake: it is not writable, or is in a run, whose own plots would be overwritten.
    """
    folder = Path(figures).absolute()
    if not figures or any((above / CONFIG).is_file() for above in (folder, *folder.parents)):
        raise Mistake(f"`--figures` must be a folder outside of runs, but is {figures or 'empty'}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Mistake(f"`--figures` must be a folder to write to, but {figures}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise Mistake(f"`--figures` must be a folder to write to, but {figures} is not")


def differing(entries: Sequence[Entry]) -> list[str]:
    """Returns the settings that differ between runs, choices of options first.

    If runs have different options of a group, settings that only some of these options have are not included.
    """
    keys = dict.fromkeys(key for entry in entries for key in entry.settings)
    values = {key: {entry.settings.get(key) for entry in entries} for key in keys}
    varied = {key for key, found in values.items() if len(found) > 1}
    told = [key for key in varied if key.partition(".")[0] not in varied or len(values[key] - {None}) > 1]
    return sorted(told, key=lambda key: (*_rank(key), list(keys).index(key)))


def _rank(key: str) -> tuple[int, bool]:
    return CHOICES.index(key) if key in CHOICES else len(CHOICES), "." in key


def _labels(entries: Sequence[Entry]) -> list[str]:
    """Returns every `<word>.<label>`, grouped by word."""
    labels = dict.fromkeys(label for entry in entries for label in entry.figures)
    return sorted(labels, key=lambda label: label.partition(".")[0])


def _facts(entry: Entry) -> dict[str, Any]:
    """Returns the status and progress of a run."""
    status, train = at(entry.results, "status"), at(entry.results, "train")
    return {
        "status": None if status is None else plain(status),
        "steps": number(at(train, "steps")),
        "seconds": number(at(train, "seconds")),
    }


def _tables(entries: Sequence[Entry]) -> None:
    show(*_spaced(tables(_columns(entries))), LEGEND, *_doubts(entries))
    for ranking in rankings(entries):
        show("", _heading(ranking), "", *_spaced(tables(_places(ranking))), RANKED)


def _doubts(entries: Sequence[Entry]) -> list[str]:
    """Returns what is doubtful about the data of the runs, each once, with the runs that it is of."""
    runs: dict[str, list[str]] = {}
    for entry in entries:
        for doubt in at(entry.results, "dataset", "doubts") or ():
            runs.setdefault(plain(doubt), []).append(entry.name)
    more = {doubt: f" and {len(names) - 1} more" if names[1:] else "" for doubt, names in runs.items()}
    return [f"Warning of the data of {names[0]}{more[doubt]}: {doubt}." for doubt, names in runs.items()]


def _columns(entries: Sequence[Entry]) -> list[Column]:
    facts = [_facts(entry) for entry in entries]
    return [
        ("run", [entry.name for entry in entries]),
        *((key, [_short(entry.settings.get(key)) for entry in entries]) for key in differing(entries)),
        *((key, [_short(fact[key]) for fact in facts]) for key in facts[0]),
        *((label, [cell(entry.figures.get(label), entry.weights) for entry in entries]) for label in _labels(entries)),
    ]


def _spaced(parts: Iterable[RenderableType]) -> list[RenderableType]:
    return [line for part in parts for line in (part, "")]


def _short(value: str | float | None) -> str:
    """Formats a value for a table: numbers to one decimal, paths by their last component."""
    if isinstance(value, float):
        return f"{value:.1f}"
    text = "-" if value is None else str(value)
    return Path(text).name if text.startswith("/") else text


def _heading(ranking: Ranking) -> str:
    transform = at(ranking.places[0].entry.results, "dataset", "transform")
    how = "" if transform == "none" else f", {transform}"
    given = at(ranking.places[0].entry.results, "dataset", "given")
    how += "" if given is None else f", given {given}"
    where = plain(f"{ranking.dataset}{how}, {ranking.split} split")
    return f"{where}, {ranking.examples} examples: likelihood, best first"


def _places(ranking: Ranking) -> list[Column]:
    differences = [
        with_error(place.difference, place.standard_error, "+") + ("" if place.resolved else "  not resolved")
        for place in ranking.places[1:]
    ]
    further = [beside(place.figure, at(place.entry.results, "dataset")) for place in ranking.places]
    return [
        ("run", [place.entry.name for place in ranking.places]),
        ("by", [place.label for place in ranking.places]),
        ("nats per example", [cell(place.figure, place.entry.weights) for place in ranking.places]),
        *([("that is", [text or "-" for text in further])] if any(further) else []),
        ("difference", ["-", *differences]),
    ]


def _csv(entries: Sequence[Entry]) -> None:
    labels, keys = _labels(entries), differing(entries)
    rows = [
        {"path": plain(str(entry.path)), "name": entry.name}
        | {key: entry.settings.get(key) for key in CHOICES}
        | _facts(entry)
        | {key: entry.settings.get(key) for key in keys}
        | _parts(entry, labels)
        for entry in entries
    ]
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    sys.stdout.flush()


def _parts(entry: Entry, labels: Sequence[str]) -> dict[str, object]:
    """Returns the figures of a run, with a column for each of their fields."""
    return {f"{label}.{part}": value for label in labels for part, value in _figure_parts(entry.figures.get(label))}


def _figure_parts(figure: Figure | None) -> Iterator[tuple[str, object]]:
    for part in ("value", "standard_error"):
        yield part, getattr(figure, part, None)
    low, high = (None, None) if figure is None or figure.interval is None else figure.interval
    yield from (("low", low), ("high", high))
    for part in ("kind", "split", "given", "quantity", "unit"):
        value = getattr(figure, part, None)
        yield part, None if value is None else plain(value)


def _json(entries: Sequence[Entry]) -> None:
    found = [{**entry.results, "path": plain(str(entry.path))} for entry in entries]
    print(json.dumps([{"path": run["path"], **run} for run in found], indent=1), flush=True)
