"""Creates, opens, reads and writes run directories. Nothing that is read is ever executed.

config.yaml            the resolved configuration
results.json           every figure; merged under a lock, replaced atomically
weights.safetensors    the parameters of the last step; weights-ema.safetensors, their exponential moving average,
                       which evaluation prefers
metrics.csv            every scalar of the training: step, tag, value
checkpoints/  per_example/  samples.npz  figures/  run.log  events.out.tfevents.*
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dgmrun.errors import Busy, Mistake
from dgmrun.paths import with_paths
from dgmrun.run import untrusted
from dgmrun.run.figures import Figure, Identity
from dgmrun.run.files import remove_leftovers, replace, sha256, sync, temporary, thawed, visible
from dgmrun.run.locks import is_held, locked

if TYPE_CHECKING:
    from torch import Tensor


CONFIG, RESULTS = "config.yaml", "results.json"
OF_SAFETENSORS = ".tmp??????"
"""Pattern of the files that safetensors 0.8 writes before it renames them, and that a kill leaves."""
UNSAVED = ("run", "data_dir", "resume", "sweep", "search")
"""Keys that belong to a command and are not saved with its run."""


class Run:
    """A run directory, made by `Run.create` and opened by `Run.open`; a link to one stands for it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve() if path.is_symlink() else path.absolute()

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any], results: Mapping[str, Any]) -> Run:
        """Claims a directory by writing its results.json, under a lock.

        A process killed halfway leaves a directory as `prepare` does.

        Raises:
            Mistake: the directory cannot be made, or already holds a run.
        """
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            where = f"{error.filename}: {error.strerror}"
            raise Mistake(f"`hydra.run.dir` must be a folder to write to, but {where}") from None
        with locked(run.path):
            if run.is_claimed:
                raise Mistake(
                    f"`hydra.run.dir` must be a directory without a run, but {run.path} has one",
                    f"dgmrun run={run.path} to take it up",
                )
            run.tidy()
            run.write_config(config)
            replace(run.path / RESULTS, _json({**results, "path": str(run.path)}).encode())
        return run

    @classmethod
    def prepare(cls, path: Path, config: Mapping[str, Any]) -> Run:
        """Makes a directory for `run=` to claim: a configuration without results."""
        run = cls(path)
        run.path.mkdir(parents=True, exist_ok=True)
        with locked(run.path):
            if not run.is_claimed:
                run.write_config(config)
        return run

    @classmethod
    def open(cls, path: str | Path, key: str = "run") -> Run:
        """Opens the directory of a run, claimed or prepared; errors name `key` as the configuration key.

        Raises:
            Mistake: there is no run at `path`, or its files cannot be read or trusted.
        """
        run = cls.find(path, key)
        run.check()
        return run

    @classmethod
    def find(cls, path: str | Path, key: str = "run") -> Run:
        """Opens the directory of a run as `open` does, without a look into its files.

        Raises:
            Mistake: there is no run at `path`, or something in it is neither a file nor a folder.
        """
        run = cls(Path(os.path.expanduser(path)))
        if not (run.path / CONFIG).is_file():
            raise Mistake(
                f"`{key}` must be a run directory, but {run.path} has no {CONFIG}",
                f"{key}=DIR, where it is; dgmrun compare outputs shows runs",
            )
        if "${" in str(run.path):
            raise Mistake(f"`{key}` must be a folder without `${{` in its name, but is {run.path}")
        for folder, folders, files in os.walk(run.path):
            for name in ("", *folders, *files):
                kind = stat.S_IFREG if name in files else stat.S_IFDIR
                if _kind(Path(folder, name)) not in (kind, None):
                    raise Mistake(f"{run.path} must hold files and folders of its own, but {name!r} is neither")
        return run

    def check(self) -> None:
        """Checks that config.yaml and results.json are those of a run.

        Raises:
            Mistake: one of them cannot be read or trusted.
        """
        _ = self.config, self.results

    def tidy(self) -> None:
        """Removes what killed writes have left of this run, but not of runs below it."""
        for folder in (self.path, *self.path.iterdir()):
            if folder == self.path or (folder.is_dir() and not (folder / CONFIG).exists()):
                remove_leftovers(folder)

    def size(self, folder: str = "") -> int:
        """Returns the bytes of the files in the run, or in one of its folders."""
        return sum(file.stat().st_size for file in (self.path / folder).rglob("[!.]*") if file.is_file())

    @property
    def is_claimed(self) -> bool:
        """Whether the run has been created, not just prepared."""
        return os.path.lexists(self.path / RESULTS)

    @property
    def config(self) -> dict[str, Any]:
        """The saved configuration: plain values, without interpolations or keys that Hydra interprets.

        A path at which nothing is now stands for the one that is as far from the run as it was: data, teachers and
        students that are moved together are found again.

        Raises:
            Mistake: the file holds anything else.
        """
        try:
            saved = untrusted.config(self.path / CONFIG)
        except (OSError, ValueError) as error:
            must = f"{self.path / CONFIG} must be the configuration of a run, but: {error}"
            cure = f"a copy of it; or dgmrun weights={shlex.quote(str(self.weights_file))} ... starts a new run"
            raise Mistake(must, cure if self.weights_file.is_file() else None) from None
        return with_paths(saved, self._found)

    def _found(self, path: str) -> str:
        if os.path.exists(path) or (home := self.results.get("path")) is None:
            return path
        beside = os.path.normpath(self.path / os.path.relpath(path, home))
        return beside if os.path.exists(beside) else path

    @property
    def results(self) -> dict[str, Any]:
        """The current content of results.json; empty if the run is only prepared.

        Raises:
            Mistake: the file holds anything else.
        """
        if not self.is_claimed:
            return {}
        try:
            return untrusted.results(self.path / RESULTS)
        except (OSError, ValueError) as error:
            raise Mistake(f"{self.path / RESULTS} must hold the results of a run, but: {error}") from None

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replaces config.yaml."""
        saved = thawed({key: value for key, value in config.items() if key not in UNSAVED})
        replace(self.path / CONFIG, yaml.safe_dump(saved, sort_keys=False, allow_unicode=True).encode())

    def settle(self, config: Mapping[str, Any]) -> None:
        """Replaces config.yaml by one whose paths are those of now."""
        self.write_config(config)
        self.merge({"path": str(self.path)})

    def merge(self, changes: Mapping[str, Any]) -> None:
        """Merges `changes` into results.json: mappings are merged recursively, other values are replaced."""
        with locked(self.path):
            replace(self.path / RESULTS, _json(_merged(self.results, changes)).encode())

    def write_arrays(self, name: str, **arrays: Any) -> None:
        """Replaces an .npz file of the run."""
        import numpy

        (self.path / name).parent.mkdir(exist_ok=True)
        content = io.BytesIO()
        numpy.savez_compressed(content, **arrays)
        replace(self.path / name, content.getvalue())

    def record(self, word: str, label: str, figure: Figure) -> None:
        """Writes the figure `label` of the stage `word`, replacing an earlier one."""
        with locked(self.path):
            results = self.results
            results.setdefault(word, {})[label] = figure.to_json()
            replace(self.path / RESULTS, _json(results).encode())

    @contextmanager
    def training(self) -> Iterator[int]:
        """Locks the run for training and yields the handle of the lock; SIGKILL releases it, too.

        Raises:
            Busy: a live process is training this run.
        """
        (self.path / "checkpoints").mkdir(exist_ok=True)
        try:
            with locked(self.path / "checkpoints", wait=False) as lock:
                for left in self.path.glob(OF_SAFETENSORS):
                    left.unlink(missing_ok=True)
                yield lock
        except BlockingIOError:
            raise Busy(f"`run` must not be in training, but a live process is training {self.path}") from None

    @property
    def is_in_training(self) -> bool:
        """Whether a live process is training the run."""
        return is_held(self.path / "checkpoints")

    @property
    def weights_file(self) -> Path:
        """weights-ema.safetensors if it exists, else weights.safetensors."""
        averaged = self.path / "weights-ema.safetensors"
        return averaged if averaged.exists() else self.path / "weights.safetensors"

    def weights_sha256(self) -> str:
        """SHA-256 of the weights file that evaluation uses."""
        return sha256(self.weights_file)

    def identity(self) -> Identity:
        """Identity of the weights that evaluation uses, for the figures of this run."""
        step = self.results.get("train", {}).get("weights_step", 0)
        return Identity(str(self.path), step, self.weights_sha256())

    def save_weights(self, state: Mapping[str, Tensor], name: str = "weights") -> None:
        """Writes parameters to NAME.safetensors."""
        from safetensors.torch import save_file

        tensors, file = {key: value.detach().cpu().contiguous() for key, value in state.items()}, f"{name}.safetensors"
        with temporary(self.path / file) as stream:
            save_file(tensors, stream.name)  # unlike `save`, without copies of them in memory
            with open(stream.name, "r+b") as written:  # another file, which has taken the name, for its owner alone
                os.fchmod(written.fileno(), 0o644)
                sync(written)
            os.replace(stream.name, self.path / file)


def fingerprint(path: str | Path) -> str:
    """Returns the SHA-256 of a file, of the weights of a run, or of the names and contents of a folder's files.

    Raises:
        Mistake: there is no such file.
    """
    if os.path.isdir(path) and not (Path(path) / CONFIG).exists():
        listed = [f"{file.relative_to(path)}\0{sha256(file)}\0" for file in visible(Path(path))]
        return hashlib.sha256("".join(listed).encode()).hexdigest()
    file = Run(Path(path)).weights_file if os.path.isdir(path) else Path(path)
    if not file.is_file():
        raise Mistake(f"there must be a file or a run with weights at {path}, but there is none")
    return sha256(file)


def _kind(path: Path) -> int | None:
    """Returns the type of the file at a path; None if another process has just removed it."""
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError:
        return None


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(_finite(value), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {**old, **{key: _merged(old.get(key), entry) for key, entry in new.items()}}
    return new
