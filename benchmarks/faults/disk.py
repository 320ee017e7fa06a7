"""A small disk of its own, which only the superuser can have."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "64m"


@contextmanager
def small(folder: Path) -> Iterator[Path]:
    """Context manager of a disk mounted at a folder, in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, mode: str) -> None:
    """Makes a disk read-only, `ro`, or writable, `rw`."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)
