"""What `dgmrun compare` prints: settings, trained models, runs without a rank, runs that are not finished."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from dgmrun.paths import short
from dgmrun.protocols.features import named
from dgmrun.report import decision, shares
from dgmrun.report.decision import Contest
from dgmrun.report.figures import at, beside, cell, number, with_error
from dgmrun.report.paired import Ground, Place, ranking
from dgmrun.report.runs import Entry, differing, folder
from dgmrun.report.terminal import WIDE, Column, console, fitting, plain, show, table, tables, wrapped
from dgmrun.run import queue

THAT_IS = "that is"
"""Heading of what a score is in other units."""
INTERVAL = "99.7 % interval"
NARROW = 80
"""Number of columns if the output is no terminal."""
OF_SETTINGS = (
    "Settings: a row is of runs that differ in nothing but the seed. +- is one standard error over seeds; one seed has "
    "none, so that nothing is known of its setting but this run. Differences are to the first row; not resolved: 0 is "
    "in the 99.7 % interval, by Welch's t test over seeds, of all pairs of rows at once."
)
OF_MODELS = (
    "Trained models: a row is a run. Errors are over examples, paired in the differences to the first run, and cover "
    "no bias: they are about two trained models, and say nothing of another seed of their settings. Stale figures and "
    "upper bounds are not ranked."
)
OF_SHARES = (
    "A row is a run. Differences are to the first, over the same examples, with intervals by the bootstrap: they are "
    "about two trained models, and say nothing of another seed of their settings."
)
LEGEND = (
    "Figures in nats, likelihood per example, gradients as log variance, divergences by name. Unmarked: exact; "
    ">= lower bound; <= upper bound; ~ estimate; ! has warnings, which results.json tells; ? data in doubt; "
    "stale: of other weights than the run has now; of another: of its teacher, or of what it was a proposal for."
)


class Section(NamedTuple):
    """A table with its title.

    Args:
        title: the title.
        columns: its columns.
        optional: headings of columns that may be left out, the most wanted first.
        notes: what is told below it.
        contest: the contest that it is of, if it is of its settings.
    """

    title: str
    columns: list[Column]
    optional: Sequence[str]
    notes: Sequence[str] = ()
    contest: Contest | None = None


def sections(entries: Sequence[Entry], is_full: bool) -> Iterator[Section]:
    """Yields the tables; if `is_full`, with the numbers of differences that are not resolved."""
    contests, shared = decision.contests(entries), shares.grounds(entries)
    every = [*(contest.ground for contest in contests), *shared]
    for contest in contests:
        where = _where(contest.ground, every)
        told = decision.keys(contest.entries)
        optional = [heading for heading, _ in decision.settings([], told)[2:]] + [decision.METHOD]
        columns = _numbered(decision.table(contest, told, is_full))
        apart = decision.apart(contest, contests)
        yield Section(f"{where}: settings, best first", columns, optional, apart, contest)
        yield Section(f"{where}: trained models, best first", _models(contest, is_full), (THAT_IS, "seed"))
    for ground in shared:
        columns = _shares(ground)
        optional = [heading for heading, _ in columns[2:-4]]
        where = _where(ground, every)
        yield Section(f"{where}: {ground[0].label}, best first", columns, (*optional, "run"), [OF_SHARES])
    unranked = decision.unranked(entries, contests)
    for title, some, further, notes in (
        ("Not ranked", unranked, partial(_figures, is_full=is_full), _reasons(unranked, is_full)),
        ("Failed or not finished", decision.unfinished(entries), _progress, ()),
    ):
        if some:
            first, more = decision.settings(some, decision.keys(some)), further(some)
            optional = [heading for heading, _ in (*first[2:3], *more, *first[3:])]
            columns = [*first, *more, ("run", list(map(decision.name, some)))]
            yield Section(title, columns, optional, [*notes, *_errors(some)])


def legend(entries: Sequence[Entry], are_ranked: bool) -> list[str]:
    """Returns what the tables mean, and the doubts about data."""
    return [*([OF_SETTINGS, OF_MODELS] if are_ranked else []), LEGEND, *decision.doubts(entries)]


def show_settings(entries: Sequence[Entry], is_wide: bool) -> None:
    """Prints the tables of a decision, within the width of the terminal unless `is_wide`."""
    readable = console().width if sys.stdout.isatty() else NARROW
    width = WIDE if is_wide else readable
    left_out, are_ranked = dict[str, None](), False
    for section in sections(entries, is_wide):
        are_ranked |= section.contest is not None
        kept, dropped = fitting(section.columns, section.optional, width)
        left_out.update(dict.fromkeys(dropped))
        told = [line for note in section.notes for line in ("", *wrapped(note, "", readable))]
        show(section.title, "", table(kept, width), *told, "", width=width)
    closing = legend(entries, are_ranked)
    closing += [f"--wide shows more: {', '.join(left_out)}."] if left_out else []
    closing += [plain(f"Curves, by the same names: tensorboard --logdir {shlex.quote(short(folder(entries)))}")]
    show("\n\n".join("\n".join(wrapped(note, "", readable)) for note in closing), width=WIDE)


def _where(ground: Ground, every: Sequence[Ground]) -> str:
    """Says which examples runs were scored on; of which kind, too, where others are told alike."""
    told = _told(ground)
    is_alone = len({_kind(each) for each in every if _told(each) == told}) == 1
    return told if is_alone else f"{told}, {_kind(ground)}"


def _kind(ground: Ground) -> str:
    kind, binarisation = (plain(at(ground[0].entry.results, "dataset", key)) for key in ("kind", "binarisation"))
    return f"{kind}{'' if binarisation == 'none' else f' by {binarisation}'}"


def _told(ground: Ground) -> str:
    facts = decision.facts(ground)
    how = "" if facts["transform"] == "none" else f", {facts['transform']}"
    how += "" if facts["given"] is None else f", given {facts['given']}"
    return f"{facts['name']}{how}, {facts['split']} split, {facts['examples']} examples"


def _numbered(columns: list[Column]) -> list[Column]:
    """Puts the number of each row before it, by which the trained models name their setting."""
    return [("#", [str(place) for place, _ in enumerate(columns[0][1], 1)]), *columns]


def _models(contest: Contest, is_full: bool) -> list[Column]:
    """Returns the columns of the trained models of a contest."""
    rows = {run.entry.path: place for place, row in enumerate(contest.rows, 1) for run in row.group.runs}
    places = ranking(contest.ground)
    differences = [decision.verdict(one.difference, one.standard_error, one.half_width, is_full) for one in places[1:]]
    further = [_further(place, is_full) for place in places]
    return [
        ("#", [str(rows[place.entry.path]) for place in places]),
        ("seed", [place.entry.settings.get("seed", "-") for place in places]),
        *([("by", [place.label for place in places])] if is_full else []),
        (decision.SCORE, [cell(place.figure, place.entry.weights) for place in places]),
        *([(THAT_IS, [(text or "-").partition(", ")[0] for text in further])] if any(further) else []),
        (decision.DIFFERENCE, ["-", *differences]),
        *_of_no_side(places),
        ("run", [decision.name(place.entry) for place in places]),
    ]


def _of_no_side(places: Sequence[Place]) -> list[Column]:
    """Returns the columns of estimates over the same split that may be above or below log p, and so are not ranked."""
    split = places[0].figure.split
    labels = dict.fromkeys(
        label
        for place in places
        for label, figure in place.entry.figures.items()
        if figure.known.is_ranked and figure.interval == (None, None) and figure.split == split
    )
    return [
        (label, [cell(place.entry.figures.get(label), place.entry.weights) for place in places]) for label in labels
    ]


def _further(place: Place, is_full: bool) -> str | None:
    """Returns what a likelihood amounts to: perplexity per document, or bits per dimension or token; if full, both."""
    perplexity = place.entry.figures.get(f"perplexity.{place.label.partition('.')[2]}")
    shown = None if perplexity is None else f"perplexity {cell(perplexity, place.entry.weights)}"
    found = [part for part in (shown, beside(place.figure, at(place.entry.results, "dataset"))) if part is not None]
    return "; ".join(found if is_full else found[-1:]) or None


def _shares(ground: Ground) -> list[Column]:
    """Returns the columns of runs that are compared by which examples they have right, the best first."""
    best, *others = ordered = sorted(ground, key=lambda one: one.figure.value, reverse=True)
    entries = [one.entry for one in ordered]
    pairs = [shares.difference(one, best) for one in others]
    return [
        *decision.settings(entries, decision.keys(entries)),
        (plain(best.figure.quantity), [with_error(one.figure.value, one.figure.standard_error) for one in ordered]),
        (decision.DIFFERENCE, ["-", *(f"{value:+.4f}" for value, _, _ in pairs)]),
        (INTERVAL, ["-", *(f"[{low:+.4f}, {high:+.4f}]" for _, low, high in pairs)]),
        ("run", list(map(decision.name, entries))),
    ]


def _figures(entries: Sequence[Entry], is_full: bool = True) -> list[Column]:
    """Returns the columns of all figures; unless full, without what their headings tell, or a note."""
    labels = dict.fromkeys(label for entry in entries for label in entry.figures)
    ordered = sorted(labels, key=lambda label: label.partition(".")[0])
    brief = () if is_full else [label for label in ordered if len(_bases(entries, label)) < 2]
    return [
        (label, [cell(entry.figures.get(label), entry.weights, label if label in brief else "") for entry in entries])
        for label in ordered
    ]


def _bases(entries: Sequence[Entry], label: str) -> set[str | None]:
    """Returns the features on which a figure of these runs rests."""
    return {named(entry.figures[label].settings) for entry in entries if label in entry.figures}


def _reasons(entries: Sequence[Entry], is_full: bool) -> list[str]:
    """Says why runs are not ranked and, unless the cells do, on which features figures rest."""
    rests: dict[str, list[str]] = {}
    for label in dict.fromkeys(label for entry in entries for label in entry.figures):
        if not is_full and len(bases := _bases(entries, label)) == 1 and (of := bases.pop()) is not None:
            rests.setdefault(plain(of), []).append(label)
    return [*decision.obstacles(entries), *(f"By {of}: {', '.join(labels)}." for of, labels in rests.items())]


def _progress(entries: Sequence[Entry]) -> list[Column]:
    steps = [number(at(entry.results, "train", "steps")) for entry in entries]
    return [
        ("status", list(map(decision.status, entries))),
        ("steps", ["-" if step is None else f"{step:.0f}" for step in steps]),
    ]


def _errors(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        if error := entry.results.get("error"):
            yield f"{entry.name}: {plain(error)}"
        elif entry.queue == "failed":
            logs = plain(str(entry.path.parent / queue.LOGS))
            yield f"{entry.name}: it never started, and the logs in {logs} say why"


def show_runs(entries: Sequence[Entry]) -> None:
    """Prints each run by itself, with all figures, in as many tables as the width asks for."""
    seconds = [number(at(entry.results, "train", "seconds")) for entry in entries]
    told = [key for key in differing(entries) if key not in decision.FIRST]
    columns = [
        ("run", list(map(decision.name, entries))),
        *decision.settings(entries, told),
        *_progress(entries),
        ("seconds", ["-" if value is None else f"{value:.1f}" for value in seconds]),
        *_figures(entries),
    ]
    parts = [line for part in tables(columns) for line in (part, "")]
    show(*parts, LEGEND, *decision.doubts(entries))
