"""`dgmrun compare --html`: one page that needs no network, of page.html and what it is to show, as JSON.

All that comes from runs is text to the page, which makes no markup of it, and pictures, which are PNG.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dgmrun.report import overview
from dgmrun.report.decision import Contest
from dgmrun.report.figures import at
from dgmrun.report.overfitting import OF_LIKELIHOOD, overfitting
from dgmrun.report.runs import Entry
from dgmrun.report.terminal import plain, warn
from dgmrun.run import metrics
from dgmrun.run.files import replace

TEMPLATE, PLACE = Path(__file__).with_name("page.html"), "{{data}}"
PNG, LARGEST_PICTURE = b"\x89PNG\r\n\x1a\n", 2**21
SAMPLES = ("rationales", "samples")
"""Pictures of what a model makes, of which the first is shown that there is."""
MOST_RUNS, MOST_POINTS = 60, 200
"""Most runs whose curves and samples are shown, and most points of a curve."""


def write(entries: Sequence[Entry], file: Path) -> None:
    """Writes the page; warns of what it has no room for."""
    if len(entries) > MOST_RUNS:
        warn(f"{file.name} has room for curves and samples of {MOST_RUNS} runs, and shows the best of them only")
    told = json.dumps(_data(entries), ensure_ascii=True).replace("<", "\\u003c")
    replace(file, TEMPLATE.read_text().replace(PLACE, told).encode())


def _data(entries: Sequence[Entry]) -> dict[str, Any]:
    sections = list(overview.sections(entries, is_full=True))
    best = _best_first(entries, [section.contest for section in sections if section.contest is not None])[:MOST_RUNS]
    return {
        "sections": [
            {
                "title": section.title,
                "head": [heading for heading, _ in section.columns],
                "rows": list(zip(*(cells for _, cells in section.columns), strict=True)),
                "notes": list(section.notes),
                "chart": [] if section.contest is None else list(_bars(section.contest))[:MOST_RUNS],
            }
            for section in sections
        ],
        "curves": [curves for entry in best if (curves := _curves(entry))["tags"]],
        "samples": [picture for entry in best if (picture := _samples(entry))],
        "families": _families(entries),
        "names": [entry.name for entry in entries],
        "notes": overview.legend(entries, bool(sections and sections[0].contest)),
    }


def _best_first(entries: Sequence[Entry], contests: Sequence[Contest]) -> list[Entry]:
    ranked = [run.entry for contest in contests for row in contest.rows for run in row.group.runs]
    return list({entry.path: entry for entry in (*ranked, *entries)}.values())


def _bars(contest: Contest) -> Iterator[dict[str, Any]]:
    """Yields the mean over seeds of each setting, its standard error, and the score of each seed."""
    for place, (group, _) in enumerate(contest.rows, 1):
        settings = group.runs[0].entry.settings
        label = f"{place} {settings.get('model', '')} {settings.get('objective', '')}"
        yield {"label": label, "mean": group.mean, "error": group.standard_error, "scores": group.scores}


def _curves(entry: Entry) -> dict[str, Any]:
    """Returns the loss and all that was validated, thinned, and where a training that over-fits validated best."""
    curves = metrics.curves(entry.path)
    shown = [tag for tag in curves if tag == "train/loss" or (tag.startswith("valid/") and "standard_error" not in tag)]
    found = overfitting(curves)
    least = [(tag, row) for tag in OF_LIKELIHOOD for row in curves.get(tag, ()) if found and row[0] == found.step]
    return {"run": entry.name, "tags": {plain(tag): _thinned(curves[tag]) for tag in shown}, "least": dict(least)}


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Returns every so many points, and the last one."""
    step = 1 + len(points) // MOST_POINTS
    return [*points[:-1:step], *points[-1:]]


def _samples(entry: Entry) -> dict[str, Any] | None:
    """Returns the first of `SAMPLES` that a run has, in base 64; None if it has none, or something else."""
    for name in SAMPLES:
        file = entry.path / "figures" / f"{name}.png"
        try:
            with file.open("rb") as stream:
                content = stream.read(LARGEST_PICTURE + 1)
        except OSError:
            continue
        if content.startswith(PNG) and len(content) <= LARGEST_PICTURE:
            return {"run": entry.name, "picture": base64.b64encode(content).decode(), "kind": name}
        warn(f"{file} is left out: it must be PNG of at most {LARGEST_PICTURE} bytes")
    return None


def _families(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Returns the pairs of a student and its teacher: their numbers, and the teacher's path, as it may be elsewhere."""
    place = {entry.weights: number for number, entry in enumerate(entries) if entry.weights is not None}
    return [
        {"number": number, "teacher": plain(given.get("run")), "of": place.get(given["weights_sha256"])}
        for number, entry in enumerate(entries)
        for given in at(entry.results, "inputs") or ()
        if given.get("role") == "teacher" and given.get("weights_sha256")
    ]
