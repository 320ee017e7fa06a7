"""The table of a decision in other forms: CSV and JSON for programs, Markdown and LaTeX for a paper."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dgmrun.report import decision
from dgmrun.report.decision import Contest
from dgmrun.report.figures import at, number
from dgmrun.report.runs import CHOICES, Entry, differing
from dgmrun.report.seeds import Row
from dgmrun.report.terminal import Column, plain
from dgmrun.run.figures import Figure

MARKDOWN = {letter: f"\\{letter}" for letter in r"\`*_{}[]<>#|~$&"}
LATEX = {letter: f"\\{letter}" for letter in "{}$&#%_"} | {
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"},
}
"""How letters that mean something are written."""
SIGNS_IN_MARKDOWN = {"+-": "±", ">=": "≥", "<=": "≤", "~": "≈"}
SIGNS_IN_LATEX = {"+-": r"\pm", ">=": r"\ge", "<=": r"\le", "~": r"\approx"}
NUMBERS = (decision.SCORE, decision.DIFFERENCE, decision.SEEDS)
NUMBER = re.compile(r"(?:(?:>=|<=|~) )?[+-]?\d[\d.]*(?: \+- \S+)?")
"""The headings of columns of numbers, and a number with its mark and its standard error."""


def as_csv(entries: Sequence[Entry]) -> str:
    """Returns one row for each setting, and one for each run without a rank."""
    return _csv([_flat(record) for record in records(entries)])


def as_json(entries: Sequence[Entry]) -> str:
    """Returns the same rows as a list."""
    return json.dumps(list(records(entries)), indent=1)


def runs_as_csv(entries: Sequence[Entry]) -> str:
    """Returns one row for each run, with all its figures."""
    labels, keys = sorted({label for entry in entries for label in entry.figures}), differing(entries)
    return _csv(
        [
            {"path": plain(str(entry.path)), "name": entry.name}
            | {key: entry.settings.get(key) for key in CHOICES}
            | {"status": decision.status(entry)}
            | {key: number(at(entry.results, "train", key)) for key in ("steps", "seconds")}
            | {key: entry.settings.get(key) for key in keys}
            | {f"{label}.{part}": value for label in labels for part, value in _parts(entry.figures.get(label))}
            for entry in entries
        ]
    )


def runs_as_json(entries: Sequence[Entry]) -> str:
    """Returns every run's results.json, with its path first."""
    found = [{"path": plain(str(entry.path))} | {**entry.results, "path": plain(str(entry.path))} for entry in entries]
    return json.dumps(found, indent=1)


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    content = io.StringIO()
    writer = csv.DictWriter(content, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _no_formula(value) for key, value in row.items()} for row in rows)
    return content.getvalue().rstrip("\n")


def _no_formula(value: object) -> object:
    """Returns a text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" and value[:1] else value


def _parts(figure: Figure | None) -> Iterator[tuple[str, object]]:
    for part in ("value", "standard_error"):
        yield part, getattr(figure, part, None)
    low, high = (None, None) if figure is None or figure.interval is None else figure.interval
    yield from (("low", low), ("high", high))
    for part in ("kind", "split", "given", "quantity", "unit"):
        value = getattr(figure, part, None)
        yield part, None if value is None else plain(value)


def records(entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Yields every row: the examples, the setting, its score over seeds, its difference to the best, and its runs."""
    contests, told = decision.contests(entries), (*decision.FIRST, *decision.keys(entries))
    for contest in contests:
        for row in contest.rows:
            yield _record(row.group.runs[0].entry, told, contest, row)
    for entry in (*decision.unranked(entries, contests), *decision.unfinished(entries)):
        yield _record(entry, told)


def _record(
    entry: Entry, told: Sequence[str], contest: Contest | None = None, row: Row | None = None
) -> dict[str, Any]:
    facts = {} if contest is None else decision.facts(contest.ground)
    group, difference = (None, None) if row is None else row
    figure = None if group is None else group.runs[0].figure
    runs = [entry] if group is None else [run.entry for run in group.runs]
    return {
        "dataset": entry.data,
        **{key: facts.get(key) for key in ("split", "given", "examples")},
        "settings": {key: _value(entry.settings.get(key)) for key in told},
        "status": decision.status(entry),
        **{key: getattr(figure, key, None) for key in ("quantity", "unit", "kind")},
        "by": None if group is None else group.runs[0].label,
        "value": getattr(group, "mean", None),
        **{key: getattr(group, key, None) for key in ("standard_error", "interval", "seeds")},
        "difference": getattr(difference, "value", None),
        "difference_standard_error": getattr(difference, "standard_error", None),
        "resolved": getattr(difference, "resolved", None),
        "doubts": sorted({doubt for run in runs for doubt in run.doubts}),
        "runs": [plain(str(run.path)) for run in runs],
    }


def _value(setting: str | None) -> Any:
    """Returns a setting as it was configured: a finite number, a truth, nothing, or else a text."""
    with suppress(ValueError, RecursionError):
        value = json.loads(setting or "null", parse_constant=str)
        if value is None or number(value) is not None or isinstance(value, bool):
            return value
    return setting


def _flat(record: Mapping[str, Any]) -> dict[str, object]:
    """Returns a row of plain values: one column for each setting and end of the interval, lists as words of a shell."""
    flat: dict[str, object] = {}
    for key, value in record.items():
        if key == "interval":
            flat |= dict(zip(("low", "high"), value or (None, None), strict=True))
        elif key == "settings":
            flat |= {f"settings.{name}" if name in record else name: setting for name, setting in value.items()}
        else:
            flat[key] = shlex.join(value) if isinstance(value, list) else value
    return flat


def as_markdown(entries: Sequence[Entry]) -> str:
    """Returns a table in Markdown."""

    def cell(text: str, heading: str = "") -> str:
        return _replaced(text, SIGNS_IN_MARKDOWN if heading in NUMBERS else MARKDOWN)

    columns = _columns(entries)
    rule = ["---:" if heading in NUMBERS else "---" for heading, _ in columns]
    rows = [[cell(heading) for heading, _ in columns], rule, *_rows(columns, cell)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_latex(entries: Sequence[Entry]) -> str:
    """Returns a tabular for LaTeX, with the rules of the package booktabs."""

    def number(found: re.Match[str]) -> str:
        return f"${_replaced(found[0], SIGNS_IN_LATEX)}$"

    def cell(text: str, heading: str = "") -> str:
        return NUMBER.sub(number, text) if heading in NUMBERS else _replaced(text, LATEX)

    columns = _columns(entries)
    align = "".join("r" if heading in NUMBERS else "l" for heading, _ in columns)
    head, *body = (" & ".join(row) for row in ([cell(heading) for heading, _ in columns], *_rows(columns, cell)))
    lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", rf"{head} \\", r"\midrule", *(rf"{row} \\" for row in body)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _rows(columns: Sequence[Column], cell: Callable[[str, str], str]) -> Iterator[list[str]]:
    written = [[cell(text, heading) for text in cells] for heading, cells in columns]
    return (list(row) for row in zip(*written, strict=True))


def _columns(entries: Sequence[Entry]) -> list[Column]:
    """Returns the rows of all contests as columns; examples are told where there are several contests."""
    contests = decision.contests(entries)
    told = decision.keys([entry for contest in contests for entry in contest.entries])
    parts: list[dict[str, Sequence[str]]] = []
    for contest in contests:
        facts = {key: str(value or "-") for key, value in decision.facts(contest.ground).items()}
        where = {key: [text] * len(contest.rows) for key, text in facts.items()} if len(contests) > 1 else {}
        parts.append(where | dict(decision.table(contest, told)))
    headings = dict.fromkeys(heading for part in parts for heading in part)
    sizes = [len(contest.rows) for contest in contests]
    return [
        (heading, [cell for part, size in zip(parts, sizes, strict=True) for cell in part.get(heading, ["-"] * size)])
        for heading in headings
    ]


def _replaced(text: str, signs: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, signs)), lambda found: signs[found[0]], text)
