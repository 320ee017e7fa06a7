"""Comments at the top of the YAML file of an option."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path


@dataclass(frozen=True)
class Header:
    """Comment at the top of an option's file.

    Args:
        lines: description of the option; the first line is a summary.
        source: its publication, or empty: to the end of the sentence that a line breaks off.
    """

    lines: list[str]
    source: str


def header(file: Path) -> Header:
    """Returns the comment at the top of a YAML file."""
    comment = takewhile(lambda line: line.startswith("#"), file.read_text().splitlines())
    lines, sources = list[str](), list[str]()
    for line in (line.removeprefix("#").strip() for line in comment):
        goes_on = bool(sources) and not sources[-1].endswith(".")
        if line.startswith("Source:") or goes_on:
            sources.append(line.removeprefix("Source:").strip())
        elif not line.startswith("@package"):
            lines.append(line)
    return Header(lines, " ".join(sources))
