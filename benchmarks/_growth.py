"""How time and memory grow with what a user turns up: slopes of their logarithms, over two decades."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from scipy.stats import linregress

from benchmarks._compare import number
from benchmarks._report import Report, plainly
from dgmrun.estimators.likelihood.importance import Importance
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.models import NADE, RBM, VAE
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.iwae import IWAE
from dgmrun.pictures.drawing import COLOURS, STYLE, png
from dgmrun.protocols import Batch, Event, Evidence

BITS = Event((784,), "binary")
SIZES, LINEAR = 5, 0.1
"""Points of a line; how far from 1 a slope may be."""
UNSEEN = 1.0
"""MiB of memory below which what the allocator keeps hides what is asked of it."""
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
Call = Callable[[], object]


class Growth(NamedTuple):
    """Work that grows.

    Args:
        work: what is done.
        axis: what grows, from `least` to a hundred times as much.
        least: of it.
        prepare: makes the work, of a size.
    """

    work: str
    axis: str
    least: int
    prepare: Callable[[int], Call]

    def sizes(self, quick: bool) -> list[int]:
        """Equally spaced on a logarithmic scale; of a quick one, a decade of two sizes."""
        decades = numpy.linspace(0, 1, 3) if quick else numpy.linspace(0, 2, SIZES)
        return [round(self.least * 10**decade) for decade in decades]


class Fit(NamedTuple):
    """A power law: slope of the logarithms, its standard error, and the slope between the two largest sizes."""

    slope: float
    standard_error: float
    end: float

    @property
    def verdict(self) -> str:
        """Whether it is linear; if at the end alone, what is fixed weighs where sizes are small."""
        if abs(self.slope - 1) <= LINEAR:
            return "linear"
        if abs(self.end - 1) <= LINEAR:
            return "linear at the end"
        return "less than linear" if self.slope < 1 else "more than linear"


def fit(sizes: Sequence[float], values: Sequence[float]) -> Fit:
    """The power law that least squares find in logarithms."""
    x, y = numpy.log(sizes), numpy.log(values)
    found = linregress(x, y)
    return Fit(float(found.slope), float(found.stderr), float((y[-1] - y[-2]) / (x[-1] - x[-2])))


def importance(examples: int = 5, samples: int = 1000, hidden: int = 200) -> Call:
    """Importance sampling of a VAE 784-H-H-50."""
    model = VAE(BITS, latent=[50], hidden=[hidden])
    batch = Batch(torch.rand(examples, 784).round(), torch.arange(examples))
    return partial(Importance(num_samples=samples), model, Evidence(batch, batch))


def ais(chains: int = 100, temperatures: int = 100, hidden: int = 500) -> Call:
    """AIS of an RBM 784-H."""
    return partial(AIS(chains, temperatures), RBM(BITS, hidden), torch.rand(100, 784).round())


def iwae(examples: int = 100, samples: int = 5, hidden: int = 200) -> Call:
    """Forward and backward of the importance-weighted bound of a VAE 784-H-H-50."""
    objective = IWAE(VAE(BITS, latent=[50], hidden=[hidden]), Optimization(torch.optim.Adam), samples)
    batch = Batch(torch.rand(examples, 784).round(), torch.arange(examples))
    return lambda: objective.loss(batch)[0].backward()


def gibbs(examples: int = 100, sweeps: int = 25, hidden: int = 500) -> Call:
    """The chains of CD of an RBM 784-H."""
    return partial(RBM(BITS, hidden).walk, torch.rand(examples, 784).round(), sweeps)


def nade(examples: int = 100, hidden: int = 100) -> Call:
    """Forward and backward of a NADE 784-H."""
    model, x = NADE(BITS, hidden), torch.rand(examples, 784).round()
    return lambda: model.log_prob(x).mean().backward()


def samples(examples: int) -> Call:
    """Samples of a NADE 784-100, all at once."""
    return partial(NADE(BITS, 100).sample, examples)


GROWTHS = (
    Growth("importance, VAE", "examples", 2, importance),
    Growth("importance, VAE", "samples", 100, lambda size: importance(samples=size)),
    Growth("importance, VAE", "hidden", 20, lambda size: importance(hidden=size)),
    Growth("gradient, IWAE", "examples", 10, iwae),
    Growth("gradient, IWAE", "samples", 2, lambda size: iwae(samples=size)),
    Growth("gradient, IWAE", "hidden", 20, lambda size: iwae(hidden=size)),
    Growth("AIS, RBM", "chains", 10, ais),
    Growth("AIS, RBM", "temperatures", 20, lambda size: ais(temperatures=size)),
    Growth("AIS, RBM", "hidden", 20, lambda size: ais(hidden=size)),
    Growth("Gibbs, RBM", "examples", 10, gibbs),
    Growth("Gibbs, RBM", "sweeps", 5, lambda size: gibbs(sweeps=size)),
    Growth("Gibbs, RBM", "hidden", 20, lambda size: gibbs(hidden=size)),
    Growth("gradient, NADE", "examples", 10, nade),
    Growth("gradient, NADE", "hidden", 10, lambda size: nade(hidden=size)),
    Growth("samples, NADE", "examples", 10, samples),
)


def point(place: int, size: int, quick: bool) -> tuple[float, float]:
    """Seconds of a call, the median of some, and MiB beyond what the process had before; in a process of its own."""
    growth = GROWTHS[place]
    torch.manual_seed(0)
    growth.prepare(growth.least)()
    call = growth.prepare(size)
    with suppress(OSError):
        CLEAR.write_text("5")  # the peak begins anew
    before = peak()
    return median([timed(call) for _ in range(1 if quick else 3)]), peak() - before


def timed(call: Call) -> float:
    """Seconds of it."""
    start = perf_counter()
    call()
    return perf_counter() - start


def peak() -> float:
    """Peak resident memory of this process, in MiB; 0 where the system is not Linux."""
    found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return int(found[1]) / 1024 if found else 0.0


class Measured(NamedTuple):
    """A row: sizes, and seconds and MiB of each."""

    growth: Growth
    sizes: list[int]
    seconds: list[float]
    memory: list[float]

    def __str__(self) -> str:
        time, most = fit(self.sizes, self.seconds), self.memory[-1]
        seen = [(size, mib) for size, mib in zip(self.sizes, self.memory, strict=True) if mib > UNSEEN]
        memory = f"{fit(*zip(*seen, strict=True)).slope:.2f}" if len(seen) > 2 else "-"
        slope, end = f"{time.slope:.2f} +- {time.standard_error:.2f}", f"{time.end:.2f}"
        span, seconds = f"{self.sizes[0]}-{self.sizes[-1]}", number(self.seconds[-1])
        fixed = f": the least takes {self.seconds[0] / self.seconds[-1]:.0%} of the most"
        words = time.verdict + fixed * (time.verdict != "linear")
        return line(self.growth.work, self.growth.axis, span, seconds, slope, end, number(most), memory, words)


def line(*cells: str) -> str:
    """One line of the table."""
    widths = (-18, -13, 10, 9, 14, 7, 9, 7, -18)
    return " ".join(cell.rjust(w) if w > 0 else cell.ljust(-w) for cell, w in zip(cells, widths, strict=True)).rstrip()


HEADER = line("work", "grows", "from-to", "most s", "slope of time", "at end", "most MiB", "slope", "")


def measured(quick: bool) -> Iterator[Measured]:
    """All that grows, each size in a process of its own, forked from one that has imported what all need."""
    children = get_context("forkserver")
    children.set_forkserver_preload([__name__])
    for place, growth in enumerate(GROWTHS):
        sizes = growth.sizes(quick)
        with children.Pool(1, maxtasksperchild=1) as pool:
            found = pool.starmap(point, [(place, size, quick) for size in sizes], chunksize=1)
        seconds, memory = map(list, zip(*found, strict=True))
        yield Measured(growth, sizes, seconds, memory)


def main(report: Report, quick: bool) -> None:
    """Measures all that grows: the table, growth.csv, growth.png."""
    report.print(HEADER)
    rows = []
    for row in measured(quick):
        rows.append(row)
        report.print(row)
    points = ["work,grows,size,seconds,mib"]
    for row in rows:
        each = zip(row.sizes, row.seconds, row.memory, strict=True)
        points += [f'"{row.growth.work}",{row.growth.axis},{size},{time:.6g},{mib:.6g}' for size, time, mib in each]
    (report.folder / "growth.csv").write_text("\n".join(points) + "\n")
    (report.folder / "growth.png").write_bytes(png(picture(rows)))


@rc_context(STYLE)
def picture(rows: Sequence[Measured]) -> Figure:
    """Time above and memory below, a panel for all that grows with one thing; grey lines are linear."""
    works, axes_of = (list(dict.fromkeys(each)) for each in zip(*(row.growth[:2] for row in rows), strict=True))
    figure = Figure(figsize=(2.6 * len(axes_of), 6.5), layout="constrained")
    panels = figure.subplots(2, len(axes_of), squeeze=False, sharex="col", sharey="row")
    for row in rows:
        colour, (time, memory) = COLOURS[works.index(row.growth.work)], panels[:, axes_of.index(row.growth.axis)]
        time.plot(row.sizes, row.seconds, "o-", color=colour)
        time.plot(row.sizes, [row.seconds[-1] * size / row.sizes[-1] for size in row.sizes], "0.85", zorder=0)
        slope = f"{fit(row.sizes, row.seconds).slope:.2f}"
        time.annotate(slope, (row.sizes[-1], row.seconds[-1]), (5, -3), textcoords="offset points", color=colour)
        memory.plot(row.sizes, [max(mib, UNSEEN) for mib in row.memory], "o-", color=colour)
    for axis, (time, memory) in zip(axes_of, panels.T, strict=True):
        time.set(xscale="log", yscale="log")
        memory.set(xscale="log", yscale="log", xlabel=axis)
        time.margins(x=0.2)
        memory.margins(x=0.2)
        for each in (memory.xaxis, time.yaxis, memory.yaxis):
            plainly(each, LogLocator())
    panels[0, 0].set_ylabel("seconds; slopes; grey: linear")
    panels[1, 0].set_ylabel(f"MiB of peak memory, from {UNSEEN:g}")
    handles = [Line2D([], [], color=colour, marker="o") for colour in COLOURS[: len(works)]]
    figure.legend(handles, works, loc="outside upper center", ncols=len(works))
    return figure
