"""Style of all plots, and their output: as PNG in figures/, and in TensorBoard.

The colours of Okabe and Ito (2008) can be distinguished by colour-blind readers. Names are not parsed as mathematics.
"""

from __future__ import annotations

import io
import textwrap
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Plot
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from dgmrun.report.hparams import DRAWN, EVENTS, event_file
from dgmrun.run.directory import Run
from dgmrun.run.files import locked, replace

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DPI = 120
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "text.parse_math": False,
}
LINES = 3
"""Largest number of lines of a name."""


def wrapped(name: str, letters: int) -> str:
    """Wraps a name to lines of `letters` characters, truncated if it is too long."""
    return textwrap.fill(name, letters, max_lines=LINES, placeholder=" ...")


def png(figure: Plot) -> bytes:
    """Renders a plot as PNG; characters missing from the font become boxes."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(content, format="png")
    return content.getvalue()


def write(run: Run, stage: str, figures: Mapping[str, Plot]) -> None:
    """Writes plots to figures/NAME.png, and to TensorBoard as `<stage>/<name>` at the step of the run's weights.

    Each stage and step has its own event file, which replaces an earlier one.
    """
    pictures = {name: png(figure) for name, figure in figures.items()}
    (run.path / "figures").mkdir(exist_ok=True)
    for name, content in pictures.items():
        replace(run.path / "figures" / f"{name}.png", content)
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


def save(file: Path, figure: Plot) -> Path:
    """Writes a plot as PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, png(figure))
    return file
