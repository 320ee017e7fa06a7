"""Plot of the training: loss and validation against the step."""

from __future__ import annotations

from collections.abc import Sequence

from dgmrun.report.overfitting import Overfitting, overfitting
from dgmrun.run import metrics
from dgmrun.run.directory import Run
from dgmrun.stages.train.validation import WATCHED
from dgmrun.workbench.setup import Setup

LOSS = "train/loss"
FEWEST = 5
"""Fewest points that are a curve."""


def draw(run: Run, setup: Setup) -> Overfitting | None:
    """Writes figures/curve.png from metrics.csv, if there is a curve; returns since when the training over-fits."""
    curves = metrics.curves(run.path)
    found = overfitting(curves)
    _draw(run, curves, found, setup.formats)
    return found


def _draw(run: Run, curves: metrics.Curves, found: Overfitting | None, formats: Sequence[str]) -> None:
    watched = next((f"valid/{name}" for name in WATCHED if f"valid/{name}" in curves), LOSS)
    shown = {tag: curves[tag] for tag in (watched, LOSS) if tag in curves}
    if all(len(curve) < FEWEST for curve in shown.values()):
        return
    from dgmrun.pictures import drawing, training

    errors = {tag: dict(curves.get(f"{tag}_standard_error", ())) for tag in shown}
    with drawing.harmless("the training"):
        drawing.keep(run, "curve", training.curves(shown, errors, found and found.step), formats)
