"""`dgmrun clean`: removes failed runs, or checkpoints of trained ones.

Only files made by dgmrun are removed, and links are not followed. results.json is removed last, so that a run is still
recognised after an interruption.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import filter as matching
from functools import cache
from pathlib import Path
from typing import Any

from dgmrun.errors import Mistake
from dgmrun.paths import words
from dgmrun.report.figures import at, number
from dgmrun.report.terminal import Parser, human, plain, show, tables, warn
from dgmrun.run import queue
from dgmrun.run.directory import CONFIG, RESULTS, Run
from dgmrun.run.locks import locked
from dgmrun.stages import stage

OF_EVERY_RUN = (
    *("run.log", "events.out.tfevents.*", "weights-ema.safetensors", "weights.safetensors"),
    *(queue.JOB, CONFIG, RESULTS),
)
"""Files of any run, in the order of removal: after those written by its stages."""
TEMPORARY = ".{}.????????.writing"
"""Pattern of temporary files left by a kill while a file was being replaced."""
NAMED = 5


@cache
def ours() -> dict[str, tuple[str, ...]]:
    """Returns the patterns of files made by dgmrun, by subdirectory of a run, in the order of removal."""
    found: dict[str, dict[str, None]] = {}
    for pattern in (pattern for word in words() for pattern in stage(word).WRITES):
        folder, _, form = pattern.rpartition("/")
        found.setdefault(folder, {})[form] = None
    of_the_run = (*found.pop("", {}), *OF_EVERY_RUN)
    return {**{folder: tuple(forms) for folder, forms in found.items()}, "": of_the_run}


@dataclass(frozen=True)
class Aim:
    """What a flag removes.

    Args:
        what: description of the files.
        note: additional remark.
        folders: subdirectories of a run whose files are removed.
        why: returns the reason, from results.json, or None for a run to keep.
    """

    what: str
    note: str
    folders: tuple[str, ...]
    why: Callable[[Mapping[str, Any]], str | None]


@dataclass(frozen=True)
class Found:
    """A run with files to remove, and their total size in bytes."""

    path: Path
    why: str
    files: list[Path]
    size: int


def main(argv: list[str]) -> None:
    """Lists the files to remove, asks for confirmation, and removes them.

    Raises:
        Mistake: the arguments are invalid, or there is no terminal for confirmation.
    """
    arguments = parser().parse_args(argv)
    aim = FAILED if arguments.failed else TRAINED
    roots = [_root(folder) for folder in arguments.dirs or [Path("outputs")]]
    found = _find(roots, aim)
    if not found:
        print("nothing to remove", flush=True)
        return
    _show(found, aim)
    if not arguments.yes and not _agreed(f"remove {aim.what} of {_total(found)}?", argv):
        print("nothing was removed", file=sys.stderr)
        return
    removed = [run for run in reversed(found) if _remove(run.path, aim, roots)]
    print(f"removed {aim.what} of {_total(removed)}")
    for run in reversed(removed):
        _tell_kept(run.path / aim.folders[-1])
    sys.stdout.flush()


def parser() -> Parser:
    """Returns the argument parser."""
    parsed = Parser(prog="dgmrun clean", description="Removes what runs leave.", allow_abbrev=False)
    parsed.add_argument("dirs", nargs="*", metavar="DIR", type=Path, help="folders with runs (outputs)")
    what = parsed.add_mutually_exclusive_group(required=True)
    what.add_argument("--failed", action="store_true", help=f"runs that failed, {FAILED.note}")
    what.add_argument("--checkpoints", action="store_true", help=f"checkpoints of trained runs: {TRAINED.note}")
    parsed.add_argument("--yes", action="store_true", help="without asking")
    return parsed


def _root(folder: Path) -> Path:
    """Resolves a directory, which is kept, as are its parents."""
    where = os.path.realpath(folder)
    if folder.is_symlink():
        raise Mistake(
            f"`DIR` must be a folder itself, but {folder} is a link", f"dgmrun clean {shlex.quote(where)} ..."
        )
    if not folder.is_dir():
        raise Mistake(f"`DIR` must be a folder with runs, but {folder} is no folder")
    return Path(where)


def _find(roots: Sequence[Path], aim: Aim) -> list[Found]:
    places = {Path(place) for root in roots for place, _, files in os.walk(root) if {CONFIG, RESULTS} <= set(files)}
    found = [run for place in sorted(places) if (run := _read(place, aim)) is not None]
    busy = {run.path for run in found if Run(run.path).is_in_training}
    for path in sorted(busy):
        warn(f"{path} is left alone: a live process is training it")
    return [run for run in found if run.path not in busy]


def _read(path: Path, aim: Aim) -> Found | None:
    """Returns what there is to remove of a run, if anything; warns of directories that are not runs."""
    try:
        results = Run.open(path).results
        if "dgmrun" not in results:
            raise Mistake(f"{RESULTS} must be of dgmrun, but does not name it")
    except Exception as error:  # untrusted YAML and JSON can fail in any way
        warn(f"{path} is left alone: {error}")
        return None
    why, files = aim.why(results), list(_files(path, aim.folders))
    if why is None or not files:
        return None
    return Found(path, why, files, sum(file.lstat().st_size for file in files))


def _files(path: Path, folders: Sequence[str]) -> Iterator[Path]:
    """Yields the files of a run that were made by dgmrun, in the order of removal."""
    for folder in folders:
        place = path / folder
        names = [name for name in _names(place) if not (place / name).is_symlink() and (place / name).is_file()]
        for form in (*map(TEMPORARY.format, ours()[folder]), *ours()[folder]):
            yield from (place / name for name in matching(names, form))


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() and not folder.is_symlink() else []


def _show(found: Sequence[Found], aim: Aim) -> None:
    columns = [
        ("run", [_shown(run.path) for run in found]),
        ("size", [human(run.size) for run in found]),
        ("why", [run.why for run in found]),
    ]
    show(*tables(columns), f"\n{_total(found)}: {aim.note}")


def _agreed(question: str, argv: list[str]) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise Mistake(
            "`--yes` must be given where standard input is no terminal, but is not",
            shlex.join(["dgmrun", "clean", "--yes", *argv]),
        )
    print(question, "[y/N]", end=" ", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    return answer.strip().lower() in ("y", "yes")


def _remove(path: Path, aim: Aim, roots: Sequence[Path]) -> bool:
    """Removes the files of a run, unless it has been resumed since it was listed."""
    try:
        with Run(path).training(), locked(path):
            if (run := _read(path, aim)) is None:
                raise Mistake("it is no longer what it was")
            for file in run.files:
                file.unlink()
    except (Mistake, FileNotFoundError) as error:
        warn(f"{path} is left alone: {error}")
        return False
    for folder in aim.folders:
        _remove_empty(path / folder, roots)
    return True


def _remove_empty(folder: Path, roots: Sequence[Path]) -> None:
    """Removes a directory and its parents below the roots, as long as they are empty."""
    with suppress(OSError):
        while folder not in roots:
            folder.rmdir()
            folder = folder.parent


def _tell_kept(folder: Path) -> None:
    """Lists the remaining contents of a directory, which were not made by dgmrun."""
    if names := [f"{name}/" if (folder / name).is_dir() else name for name in _names(folder)]:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        print(f"kept {_shown(folder)}, for what is not of this run: {plain(', '.join(names[:NAMED]))}{more}")


def _failure(results: Mapping[str, Any]) -> str | None:
    if results.get("status") != "failed":
        return None
    steps, lines = number(at(results, "train", "steps")), str(results.get("error") or "").splitlines()
    when = " after its training" if _training(results) else f" at step {steps}" if steps else ""
    return f"failed{when}{f': {plain(lines[0])}' if lines else ''}"


def _training(results: Mapping[str, Any]) -> str | None:
    if at(results, "train", "complete") is not True:
        return None
    return f"trained, {number(at(results, 'train', 'steps'))} steps"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return plain(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _total(found: Sequence[Found]) -> str:
    return f"{len(found)} run{'' if len(found) == 1 else 's'}, {human(sum(run.size for run in found))}"


FAILED = Aim("the files", "with weights and figures; what dgmrun did not make stays", tuple(ours()), _failure)
TRAINED = Aim(
    "the checkpoints",
    "the rest stays; such a run can still be scored, but not trained longer",
    ("checkpoints",),
    _training,
)
