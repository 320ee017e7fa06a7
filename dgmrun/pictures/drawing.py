"""Style of all plots, dgmrun.mplstyle, and their output: in figures/, with their numbers, and in TensorBoard."""

from __future__ import annotations

import csv
import io
import logging
import textwrap
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
from matplotlib import rc_context, rc_params_from_file
from matplotlib.figure import Figure as Plot
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from dgmrun.pictures import ENDINGS
from dgmrun.report.hparams import DRAWN, EVENTS, event_file
from dgmrun.report.terminal import plain
from dgmrun.run.directory import Run
from dgmrun.run.files import replace
from dgmrun.run.locks import locked

log = logging.getLogger("dgmrun")
STYLE = rc_params_from_file(Path(__file__).with_name("dgmrun.mplstyle"), use_default_template=False)
COLOURS: tuple[str, ...] = tuple(STYLE["axes.prop_cycle"].by_key()["color"])
DPI: float = STYLE["figure.dpi"]
UNDATED: Mapping[str, Mapping[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
LINES = 3
"""Largest number of lines of a name."""


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Turns whatever goes wrong with a picture into a warning: none ends a training or an evaluation."""
    try:
        yield
    except Exception as error:
        log.warning("warning: there is no picture of %s: %s", what, plain(str(error) or type(error).__name__))


def wrapped(name: str, letters: int) -> str:
    """Wraps a name to lines of `letters` characters, truncated if it is too long."""
    return textwrap.fill(name, letters, max_lines=LINES, placeholder=" ...")


class Picture(Plot):
    """A plot that knows the numbers it was drawn from: columns of one length, or else arrays."""

    data: Mapping[str, Any] = {}


def png(figure: Plot) -> bytes:
    """Renders a plot as PNG; characters missing from the font become boxes."""
    return rendered(figure, "png")


@rc_context(STYLE)
def rendered(figure: Plot, ending: str) -> bytes:
    """Renders a plot in the format with this ending; the same plot gives the same bytes."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(content, format=ending, metadata=UNDATED.get(ending))
    figure.set_layout_engine("none")  # it has been laid out, and would be anew
    return content.getvalue()


def numbers(data: Mapping[str, Any]) -> tuple[str, bytes]:
    """Returns the ending and the content of a file of numbers: .csv for columns of one length, else .npz."""
    arrays: dict[str, Any] = {name: numpy.asarray(each) for name, each in data.items()}
    if {each.ndim for each in arrays.values()} != {1} or len({len(each) for each in arrays.values()}) > 1:
        content = io.BytesIO()
        numpy.savez_compressed(content, **arrays)
        return "npz", content.getvalue()
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(arrays)
    lines.writerows(zip(*(each.tolist() for each in arrays.values()), strict=True))
    return "csv", text.getvalue().encode()


def titled(panels: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of a plot of panels: the titles, which are no names of files, and the array of each panel."""
    return {"titles": [*panels], **{f"panel_{number}": x for number, x in enumerate(panels.values(), 1)}}


def write(run: Run, stage: str, figures: Mapping[str, Picture], formats: Sequence[str]) -> None:
    """Writes plots to figures/, and to TensorBoard as `<stage>/<name>` at the step of the run's weights.

    Each stage and step has its own event file, which replaces an earlier one.
    """
    pictures = {name: png(figure) for name, figure in figures.items()}
    for name, figure in figures.items():
        keep(run, name, figure, formats, pictures[name])
    step = run.identity().step
    summary = Summary(value=[_image(f"{stage}/{name}", content) for name, content in pictures.items()])
    ending = f"{DRAWN}{stage}-{step}"
    with locked(run.path):
        before = set(run.path.glob(f"{EVENTS}*{ending}"))
        file = run.path / f"{EVENTS}{int(time.time()):010d}{ending}"
        replace(file, event_file(summary, step))
        for old in before - {file}:
            old.unlink()


def _image(tag: str, content: bytes) -> Summary.Value:
    with Image.open(io.BytesIO(content)) as picture:
        width, height = picture.size
    return Summary.Value(tag=tag, image=Summary.Image(encoded_image_string=content, width=width, height=height))


def keep(run: Run, name: str, figure: Picture, formats: Sequence[str], drawn: bytes | None = None) -> None:
    """Writes a plot to figures/ as `save` does, and removes an earlier one in other formats."""
    written = save(run.path / "figures" / f"{name}.png", figure, formats, drawn)
    for old in {written[0].with_suffix(f".{ending}") for ending in ENDINGS} - {*written}:
        old.unlink(missing_ok=True)


def save(file: Path, figure: Picture, formats: Sequence[str] = ("png",), drawn: bytes | None = None) -> list[Path]:
    """Writes a plot in each format, with the numbers it was drawn from beside it; returns the files.

    Args:
        file: where a PNG would be; the others have its name and their own ending.
        figure: the plot.
        formats: endings of formats.
        drawn: the PNG, if it has been drawn already.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    known = {} if drawn is None else {"png": drawn}
    contents = [(ending, known.get(ending) or rendered(figure, ending)) for ending in formats]
    if figure.data:
        contents.append(numbers(figure.data))
    for ending, content in contents:
        replace(file.with_suffix(f".{ending}"), content)
    return [file.with_suffix(f".{ending}") for ending, _ in contents]
