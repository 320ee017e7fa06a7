"""What the YAML file of an option says of it in its first lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Header:
    """The comment at the top of an option's file.

    Args:
        lines: what the option is; the first line is a summary.
        source: who it is from, empty where it is nobody's in particular.
    """

    lines: list[str]
    source: str


def header(file: Path) -> Header:
    """The comment at the top of a YAML file."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    sources = [line.removeprefix("Source:").strip() for line in lines if line.startswith("Source:")]
    return Header([line for line in lines if not line.startswith(("@package", "Source:"))], " ".join(sources))
