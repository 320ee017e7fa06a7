"""Style of all plots, dgmrun.mplstyle, and their output: as PNG in figures/, and in TensorBoard."""

from __future__ import annotations

import io
import logging
import textwrap
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_params_from_file
from matplotlib.figure import Figure as Plot
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from dgmrun.report.hparams import DRAWN, EVENTS, event_file
from dgmrun.report.terminal import plain
from dgmrun.run.directory import Run
from dgmrun.run.files import locked, replace

log = logging.getLogger("dgmrun")
STYLE = rc_params_from_file(Path(__file__).with_name("dgmrun.mplstyle"), use_default_template=False)
COLOURS: tuple[str, ...] = tuple(STYLE["axes.prop_cycle"].by_key()["color"])
DPI: float = STYLE["figure.dpi"]
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
