"""Provenance of a run, as recorded in results.json."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dgmrun import __version__, paths
from dgmrun.data.splits import sha256
from dgmrun.paths import PACKAGE
from dgmrun.protocols.models import roles
from dgmrun.protocols.text import counted
from dgmrun.protocols.values import Batch
from dgmrun.run.directory import Run
from dgmrun.run.files import now
from dgmrun.run.files import sha256 as file_sha256
from dgmrun.run.weights import locate
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup


def results(setup: Setup, command: str) -> dict[str, Any]:
    """Returns the contents of results.json before any stage is executed."""
    config = setup.config
    return {
        "dgmrun": __version__,
        "status": "running",
        "error": None,
        **{key: config[key] for key in ("name", "tags", "notes")},
        "command": command,
        "config_dir": str(setup.search_path[0]) if setup.search_path else None,
        "git": _git(),
        "versions": {name: version(name) for name in ("torch", "lightning", "hydra-core", "numpy")}
        | {"python": platform.python_version()},
        "device": _device(setup.device),
        "hostname": socket.gethostname(),
        "threads": torch.get_num_threads(),
        "started": now(),
        "finished": None,
        "dataset": _dataset(setup),
        "model": config["choices"]["model"],
        "objective": config["choices"]["objective"],
        "seed": config["seed"],
        "inputs": inputs(config),
    }


def _dataset(setup: Setup) -> dict[str, Any]:
    dataset = setup.config["dataset"]
    return {
        "name": dataset["name"],
        "binarisation": dataset["binarisation"],
        "kind": setup.event.kind,
        "given": setup.config["given"],
        "labels": _labels(setup),
        "transform": dataset["transform"],
        "levels": setup.levels,
        "dims": setup.event.dims,
        "division": build.division(dataset),
        "splits": splits(setup),
        "classes": build.classes(dataset),
        "doubts": setup.doubts,
    }


def _labels(setup: Setup) -> str | None:
    """Says what labels x is given, unless they are one class."""
    event = setup.context
    if event is None or event.is_class or not setup.is_of_x:
        return None
    if event.kind == "tokens":
        return f"captions of up to {counted(event.dims, 'word')}"
    return counted(event.dims, f"{event.kind} attribute")


def splits(setup: Setup) -> dict[str, Any]:
    """Returns the number of examples of each split, and the sha256 of the examples and their contexts."""
    return {name: _split(setup.scored(name)) for name in setup.data.splits}


def _split(batch: Batch) -> dict[str, Any]:
    parts = [sha256(batch.x)] if batch.context is None else [sha256(batch.x), sha256(batch.context)]
    joined = parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()
    return {"examples": len(batch.x), "sha256": joined}


def inputs(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the runs and weight files from which a run is made; of teachers, also what they are."""
    return [_input(given) for given in paths.inputs(config) if given.key.partition(".")[0] in paths.MADE_BY]


def _input(given: paths.Input) -> dict[str, Any]:
    path = Path(given.path)
    found = {"run": str(path.absolute()), "weights_sha256": file_sha256(locate(given.path)), "role": given.role}
    return {**found, **_kind(Run(path).config)} if given.role == "teacher" else found


def _kind(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the name of a run's model, and whether it has a density, if only up to a constant or by a bound."""
    density = roles(build.target(config["model"])).density
    return {"model": config["choices"]["model"], "has_density": density is not None}


def _device(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return f"{device.type}: {name}"


def _git() -> dict[str, Any]:
    """Returns the commit of the code if it is run from a checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if not (PACKAGE.parent / ".git").exists() or os.environ.get("GIT_DIR"):
        return {"commit": None, "dirty": None}
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
    }
