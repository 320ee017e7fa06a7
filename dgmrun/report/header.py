"""Comments at the top of the YAML file of an option."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Header:
    """Comment at the top of an option's file.

    Args:
        lines: description of the option; the first line is a summary.
        source: its publication, or empty.
    """

    lines: list[str]
    source: str


def header(file: Path) -> Header:
    """Returns the comment at the top of a YAML file."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    sources = [line.removeprefix("Source:").strip() for line in lines if line.startswith("Source:")]
    return Header([line for line in lines if not line.startswith(("@package", "Source:"))], " ".join(sources))
