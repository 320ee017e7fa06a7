"""What `dgmrun compare` decides by: one row for each setting that was scored on the same examples, best first.

A setting is all that was configured except the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dgmrun.paths import words
from dgmrun.protocols.text import AUTO
from dgmrun.report.figures import MARKS, at, with_error
from dgmrun.report.paired import Ground, grounds, obstacle
from dgmrun.report.runs import Entry, differing
from dgmrun.report.seeds import Difference, Group, Row, rows
from dgmrun.report.terminal import Column, plain

FIRST = ("model", "objective")
"""The settings that every table starts with."""
SCORE, DIFFERENCE, SEEDS, METHOD = "nats per example", "difference", "seeds", "by"
UNRESOLVED, ONE_SEED, NO_SPREAD, DOUBTED = "not resolved", "one seed", "no spread", " ?"


class Contest(NamedTuple):
    """Runs scored on the same examples, and their settings, best first."""

    ground: Ground
    rows: list[Row]

    @property
    def entries(self) -> list[Entry]:
        """The runs."""
        return [scored.entry for scored in self.ground]


def contests(entries: Sequence[Entry]) -> list[Contest]:
    """Returns a contest for each split of each dataset on which finished runs were scored."""
    found = grounds(entry for entry in entries if entry.is_finished)
    return [Contest(ground, rows(ground)) for ground in found]


def facts(ground: Ground) -> dict[str, Any]:
    """Returns what the examples are: dataset, transform, context, split and number."""
    dataset = ground[0].entry.results["dataset"]
    texts = {"transform": at(dataset, "transform"), "given": _given(ground[0].entry)}
    told = {key: None if text is None else plain(text) for key, text in texts.items()}
    split, examples = plain(ground[0].figure.split), len(ground[0].index)
    return {"name": ground[0].entry.data, **told, "split": split, "examples": examples}


def _given(entry: Entry) -> str | None:
    """Says what a run is given: `labels`, and which if there are others than classes, or of which columns they are."""
    given, labels = (at(entry.results, "dataset", key) for key in ("given", "labels"))
    column = entry.settings.get("dataset.label", AUTO)
    columns = "" if column == AUTO else column.strip("[]").replace('"', "")
    parts = [part for part in (labels, columns) if part]
    return f"labels ({': '.join(parts)})" if given == "labels" and parts else given


def apart(contest: Contest, contests: Sequence[Contest]) -> list[str]:
    """Says with which runs on the same split those of a contest are not ranked, as they are given something else."""
    here, *others = (facts(each.ground) for each in (contest, *contests))
    same = [each["given"] for each in others if (each["name"], each["split"]) == (here["name"], here["split"])]
    told = [each or "nothing" for each in dict.fromkeys(same) if each != here["given"]]
    if not told:
        return []
    return [
        f"Given {here['given'] or 'nothing'}, and not ranked with runs given {', '.join(told)}: "
        "their likelihoods are of different densities."
    ]


def keys(entries: Sequence[Entry]) -> list[str]:
    """Returns the settings that differ, beside model, objective and seed; next is what tells most apart.

    Of those that tell as much apart, settings of training come before settings of evaluation.
    """
    evaluating, ordered = words(), list[str]()
    left = [key for key in differing(entries) if key not in (*FIRST, "seed")]
    left.sort(key=lambda key: key.partition(".")[0] in evaluating)
    apart = _numbered([_values(entries, key) for key in FIRST])
    while left:
        finer = {key: _numbered([apart, _values(entries, key)]) for key in left}
        key = max(left, key=lambda key: max(finer[key]))
        if max(finer[key]) == max(apart):
            break
        apart = finer[key]
        ordered.append(key)
        left.remove(key)
    return ordered + left


def _values(entries: Sequence[Entry], key: str) -> list[str | None]:
    return [entry.settings.get(key) for entry in entries]


def _numbered(columns: Sequence[Sequence[object]]) -> list[int]:
    """Returns a number for each row of some columns, the same for equal rows."""
    numbers: dict[object, int] = {}
    return [numbers.setdefault(row, len(numbers)) for row in zip(*columns, strict=True)]


def settings(entries: Sequence[Entry], told: Sequence[str]) -> list[Column]:
    """Returns the columns of model, objective and further settings, each headed by its last word where that will do."""
    words = [key.rpartition(".")[2] for key in told]
    often = Counter([*words, *FIRST, SCORE, DIFFERENCE, SEEDS, METHOD, "run", "status", "steps"])
    short = [word if often[word] == 1 else key for key, word in zip(told, words, strict=True)]
    headings = zip((*FIRST, *short), (*FIRST, *told), strict=True)
    return [(heading, _short([entry.settings.get(key) for entry in entries])) for heading, key in headings]


def _short(values: Sequence[str | None]) -> list[str]:
    """Formats values of a setting: paths by their last component, if that tells them apart."""
    texts = ["-" if value is None else value for value in values]
    names = [Path(text).name if text.startswith("/") else text for text in texts]
    return names if len(set(names)) == len(set(texts)) else texts


def table(contest: Contest, told: Sequence[str], is_full: bool = False) -> list[Column]:
    """Returns the columns of a contest.

    Args:
        contest: the contest.
        told: further settings to show.
        is_full: whether differences that are not resolved are told with their numbers.
    """
    groups = [row.group for row in contest.rows]
    methods = [group.runs[0].label.partition(".")[2] for group in groups]
    return [
        *settings([group.runs[0].entry for group in groups], told),
        *([(METHOD, methods)] if len(set(methods)) > 1 else []),
        (SCORE, [score(group) for group in groups]),
        (DIFFERENCE, [of_rows(row.difference, is_full) for row in contest.rows]),
        (SEEDS, [str(group.seeds) for group in groups]),
    ]


def score(group: Group) -> str:
    """Formats the mean over seeds with its marks, and its standard error if there are several."""
    shown = f"{group.mean:.3f}" if group.seeds == 1 else with_error(group.mean, group.standard_error)
    warned = " !" if any(run.figure.warnings for run in group.runs) else ""
    doubted = DOUBTED if any(run.entry.doubts for run in group.runs) else ""
    return f"{MARKS[group.runs[0].figure.kind]}{shown}{warned}{doubted}"


def name(entry: Entry) -> str:
    """Returns the name of a run, with a mark if its data are in doubt."""
    return entry.name + (DOUBTED if entry.doubts else "")


def of_rows(difference: Difference | None, is_full: bool) -> str:
    """Formats the difference of a setting to the best."""
    if difference is None:
        return "-"
    if difference.resolved is None:
        return f"{difference.value:+.3f} {ONE_SEED if difference.standard_error is None else NO_SPREAD}"
    return verdict(*difference, is_full)


def verdict(value: float, error: float | None, half_width: float | None, is_full: bool) -> str:
    """Formats a difference, or says that it is not resolved."""
    shown, is_resolved = with_error(value, error, "+"), half_width is not None and abs(value) > half_width
    return shown if is_resolved else f"{shown} {UNRESOLVED}" if is_full else UNRESOLVED


def unranked(entries: Sequence[Entry], found: Sequence[Contest]) -> list[Entry]:
    """Returns the finished runs that are in no contest."""
    ranked = {entry.path for contest in found for entry in contest.entries}
    return [entry for entry in entries if entry.is_finished and entry.path not in ranked]


def obstacles(entries: Sequence[Entry]) -> Iterator[str]:
    """Yields why these runs are in no contest, each reason once."""
    return (f"{names}: {reason}." for reason, names in _by_text((entry, [obstacle(entry)]) for entry in entries))


def _by_text(told: Iterable[tuple[Entry, Sequence[str]]]) -> Iterator[tuple[str, str]]:
    """Yields each text that is told of runs, and the runs that it is told of."""
    runs: dict[str, list[str]] = {}
    for entry, texts in told:
        for text in texts:
            runs.setdefault(text, []).append(entry.name)
    for text, names in runs.items():
        yield text, f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}"


def unfinished(entries: Sequence[Entry]) -> list[Entry]:
    """Returns the runs that failed, were interrupted, are running, or have yet to start."""
    return [entry for entry in entries if not entry.is_finished]


def status(entry: Entry) -> str:
    """Returns the status of a run; of one that was scored before its training was complete, that."""
    if entry.queue == "queued":
        return entry.queue
    if entry.is_killed and entry.queue is None:
        return "killed"
    told = plain(entry.results.get("status") or entry.queue or "not started")
    return "not complete" if told == "done" and not entry.is_finished else told


def doubts(entries: Sequence[Entry]) -> Iterator[str]:
    """Yields what is doubtful about the data of the runs, each once, with the runs that it is of."""
    told = _by_text((entry, entry.doubts) for entry in entries)
    return (f"Warning of the data of {names}: {doubt}." for doubt, names in told)
