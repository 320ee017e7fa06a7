"""What a figure was measured on, and of which commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


def described() -> dict[str, str]:
    """The machine, the libraries and the commit, by name."""
    return {
        "commit": commit(),
        "cpu": cpu(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f} when the measurements began",
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def commit() -> str:
    """Name of the commit, and whether files were changed since; `unknown` outside a repository."""
    asked = ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    return "unknown"


def cpu() -> str:
    """Name of the processor."""
    with suppress(OSError):
        named = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if named:
            return named[1]
    return platform.processor() or platform.machine()
