"""A commit of this repository in an environment of its own, beside the one that is worked on."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._machine import ROOT
from dgmrun.errors import Mistake


class Environment:
    """A Python that has one version of dgmrun, and the libraries of the present one.

    Its virtual environment holds two paths alone: the files of that version, then where the present Python finds its
    packages. Editable installs are not followed there, so that no other dgmrun can be imported.

    Args:
        tree: the files of that version.
        folder: an empty one.
    """

    def __init__(self, tree: Path, folder: Path) -> None:
        venv.create(folder, symlinks=os.name != "nt")
        paths = [str(tree), *(path for path in sys.path if path.endswith("-packages"))]
        (found,) = folder.glob("[Ll]ib/**/site-packages")
        (found / "dgmrun.pth").write_text("\n".join(paths) + "\n")
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        compileall.compile_dir(tree / "dgmrun", quiet=2)  # whichever is measured first would do it
        imported = Path(self.run("-c", "import dgmrun; print(dgmrun.__file__)"))
        assert imported.is_relative_to(tree), f"{imported} is not of {tree}"

    def run(self, *arguments: str) -> str:
        """What a command of Python prints on its last line; it starts in an empty folder.

        Raises:
            SystemExit: it failed; its last words are told.
        """
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with TemporaryDirectory() as folder:
            done = subprocess.run([self.python, *arguments], cwd=folder, env=kept, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"error: a command of {self.python} failed\n{done.stdout[-500:]}{done.stderr[-1500:]}")
        return (done.stdout.splitlines() or [""])[-1]

    def dgmrun(self, *argv: str) -> dict[str, Any]:
        """results.json of a run."""
        with TemporaryDirectory() as folder:
            self.run("-m", "dgmrun", "device=cpu", *argv, f"hydra.run.dir={folder}")
            found: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
        return found


def unpacked(commit: str, folder: Path) -> Path:
    """The files of a commit in a new `folder`.

    Raises:
        Mistake: there is no such commit.
    """
    archive = folder.with_suffix(".zip")
    asked = ["git", "archive", "--format=zip", f"--output={archive}", f"{commit}^{{commit}}"]
    if subprocess.run(asked, cwd=ROOT, capture_output=True).returncode:
        raise Mistake(f"`--against` must be a commit of this repository, but is {commit}")
    shutil.unpack_archive(archive, folder)
    return folder
