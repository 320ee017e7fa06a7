"""The folder of a benchmark: its table, its rows as JSON with the machine and the commit, and one picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, LogLocator, NullFormatter

from benchmarks import _machine
from benchmarks._compare import Row
from dgmrun.pictures.drawing import COLOURS, STYLE, png

VERDICTS = {"met": COLOURS[0], "missed": COLOURS[1], "": "0.6"}


class Report:
    """Prints what is measured as it comes, and keeps it.

    Args:
        folder: where to; made, and named by the time and the commit, if it is None.
    """

    def __init__(self, folder: Path | None) -> None:
        self.machine = _machine.described()
        self.folder = folder or Path(
            "outputs/benchmarks", f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{self.machine['commit']}"
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "table.txt").write_text("")
        self.rows: list[Row] = []
        self.print("\n".join(f"{name:<12}{value}" for name, value in self.machine.items()) + "\n")

    def print(self, text: object) -> None:
        """Prints a text, at once, and appends it to table.txt."""
        print(text, flush=True)
        with (self.folder / "table.txt").open("a") as table:
            print(text, file=table)

    def add(self, row: Row) -> None:
        """Prints a row, and writes all rows so far, so that what ends early leaves what it measured."""
        self.rows.append(row)
        self.print(row)
        found = {"machine": self.machine, "rows": [asdict(each) | {"verdict": each.verdict} for each in self.rows]}
        (self.folder / "rows.json").write_text(json.dumps(found, indent=1) + "\n")

    def close(self) -> None:
        """Counts the targets, draws the picture, and says where all lies."""
        verdicts = [row.verdict for row in self.rows]
        if self.rows:
            (self.folder / "ratios.png").write_bytes(png(picture(self.rows, self.machine)))
        if any(verdicts):
            missed = [row.name for row in self.rows if row.verdict == "missed"]
            self.print(
                f"\n{verdicts.count('met')} targets met, {len(missed)} missed"
                + "".join(f"\n  {each}" for each in missed)
            )
        print(f"\nwritten to {self.folder}")


def plainly(axis: Axis, where: Locator) -> None:
    """Numbers a logarithmic axis without powers."""
    axis.set_major_locator(where)
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


@rc_context(STYLE)
def picture(rows: Sequence[Row], machine: dict[str, str]) -> Figure:
    """Ratios with their ranges, as dots and lines, and targets, as bars; colours tell what was missed."""
    figure = Figure(figsize=(9, 1.6 + 0.28 * len(rows)), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="figure of a round: median, lowest and highest; bar: target")
    for place, row in enumerate(rows):
        colour = VERDICTS[row.verdict]
        axes.plot((row.lowest, row.highest), (place, place), color=colour, linewidth=2)
        axes.plot(row.figure, place, "o", color=colour)
        label = f"{row.figure:.2f}"
        if row.target:
            axes.plot(float(row.target.split()[1]), place, "|", color="black", markersize=12)
            label += f"  ({row.target}{', missed' * (row.verdict == 'missed')})"
        axes.text(1.01, place, label, transform=axes.get_yaxis_transform(), va="center", color=colour)
    axes.axvline(1, color="0.85", zorder=0)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.45), max(high, 2.2))
    plainly(axes.xaxis, LogLocator(subs=(1, 2, 5)))
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    shown = (machine["cpu"], f"{machine['threads']} of {machine['cores']} cores", f"torch {machine['torch']}")
    axes.set_title(f"dgmrun {machine['commit']} beside its peers\n{', '.join(shown)}", loc="left")
    return figure
