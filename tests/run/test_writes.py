"""A kill within any write: at every moment what has a name is whole, old or new. Three tensors, and no training."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dgmrun.run.directory import Run
from dgmrun.run.files import remove_leftovers, replace, temporary
from dgmrun.stages.train.checkpoints import Checkpoints
from dgmrun.stages.train.saved import newest, read

STATE: dict[str, Any] = {
    **{"optimizer_states": [], "schedule_states": [], "callbacks": {}},
    **{"ranks": [{}], "gradients": {}, "environment": {}},
}


class Three(nn.Module):
    """Three parameters, all of the same value."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.zeros(size)) for size in (1, 50, 2000))


@contextmanager
def at_every_moment(folder: Path, look: Callable[[Path], None]) -> Iterator[list[Path]]:
    """Before and after each rename and sync, `look` sees a copy; and one with half of what has no name yet."""
    copies: list[Path] = []

    def copied() -> None:
        for share in (1.0, 0.5):
            copy = Path(shutil.copytree(folder, folder.parent / f"{folder.name}-{len(copies)}"))
            for file in copy.rglob(".*"):
                os.truncate(file, int(file.stat().st_size * share))
            copies.append(copy)
            look(copy)

    def watched(act: Callable[..., Any]) -> Callable[..., Any]:
        def acts(*args: Any) -> Any:
            copied()
            given = act(*args)
            copied()
            return given

        return acts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", watched(os.replace))
        patch.setattr(os, "fsync", watched(os.fsync))
        yield copies


def test_a_file_is_the_old_or_the_new(tmp_path: Path) -> None:
    folder, found = tmp_path / "folder", set()
    folder.mkdir()
    replace(folder / "file", b"old" * 1000)
    with at_every_moment(folder, lambda copy: found.add((copy / "file").read_bytes())) as copies:
        replace(folder / "file", b"new" * 1000)
    assert len(copies) >= 8
    assert found == {b"old" * 1000, b"new" * 1000}


def test_at_every_moment_a_checkpoint_is_whole(tmp_path: Path) -> None:
    """last.ckpt or previous.ckpt, of this step or the one before; and so are weights and results."""
    run = Run.create(tmp_path / "run", {}, {"train": {"steps": 0}})
    (run.path / "checkpoints").mkdir()
    model = Three()
    objective: Any = SimpleNamespace(model=model, named_parameters=model.named_parameters, average=None, iteration=0)

    def gather(trainer: Any, objective: Any) -> dict[str, Any]:
        return {**STATE, "state_dict": dict(model.state_dict()), "iteration": objective.iteration}

    trainer: Any = SimpleNamespace(is_global_zero=True)
    resume: Any = SimpleNamespace(gather=gather)
    board: Any = SimpleNamespace(flush=lambda: None)
    saving = Checkpoints(run, 1, resume, board, lambda _, step: run.merge({"train": {"steps": step}}))

    def look(copy: Path) -> None:
        now, whole = objective.iteration, newest(copy / "checkpoints")
        if whole is None:
            assert now == 1
            return
        assert whole.iteration in (now - 1, now)
        assert all(bool((part == whole.iteration).all()) for part in whole.state_dict.values())
        assert json.loads((copy / "results.json").read_text())["train"]["steps"] in (now - 1, now)
        if (copy / "weights.safetensors").exists():
            values = {float(value) for part in load_file(copy / "weights.safetensors").values() for value in part}
            assert len(values) == 1
            assert values <= {now - 1.0, now}

    with at_every_moment(run.path, look) as copies:
        for step in (1, 2, 3):
            objective.iteration = step
            for part in model.parameters():
                part.data.fill_(step)
            saving.save(trainer, objective, SimpleNamespace())  # type: ignore[arg-type]
    assert len(copies) > 100
    assert read(run.path / "checkpoints" / "last.ckpt").iteration == 3


def test_what_kills_leave_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {}, {})
    (run.path / "checkpoints").mkdir()
    files = [run.path / "results.json", run.path / "checkpoints" / "last.ckpt"]
    for file in files * 100:
        file.with_name(f".{file.name}.{len([*run.path.rglob('*')]):08}.writing").write_bytes(b"half")
    theirs = run.path / ".notes.markdown"
    theirs.touch()
    Run.create(run.path / "below", {}, {})
    below = run.path / "below" / ".results.json.a1b2c3d4.writing"
    below.touch()
    with temporary(files[1]) as stream:
        run.tidy()
        assert {*run.path.rglob(".*")} == {theirs, below, Path(stream.name)}
    assert {*run.path.rglob(".*")} == {theirs, below}


def torch_fails(*args: Any) -> None:
    """As torch.save does on a full disk."""
    try:
        raise OSError(errno.ENOSPC, "")
    except OSError:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")  # noqa: B904


def safetensors_fails(*args: Any) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def system_fails(*args: Any) -> None:
    raise OSError(errno.ENOSPC, "")


@pytest.mark.parametrize("fails", [torch_fails, safetensors_fails, system_fails])
def test_a_disk_that_is_full_is_one_error_that_names_the_file(fails: Callable[[], None], tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as caught, temporary(tmp_path / "file"):
        fails()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "file"))
    assert [*tmp_path.iterdir()] == []


def test_a_write_whose_file_was_taken_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock."""
    flock, seen = fcntl.flock, list[str]()

    def late(handle: int, how: int) -> None:
        if not seen:
            seen.append(os.readlink(f"/proc/self/fd/{handle}"))
            remove_leftovers(tmp_path)
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    replace(tmp_path / "file", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert not Path(seen[0]).exists()


def test_what_safetensors_leaves_goes_when_the_run_is_trained_on(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {}, {})
    run.save_weights({"w": torch.ones(2)})
    (tmp_path / ".tmpAb12Cd").write_bytes(b"half")
    with run.training():
        assert [file.name for file in tmp_path.glob(".*")] == []
    assert torch.equal(load_file(run.weights_file)["w"], torch.ones(2))
    assert run.weights_file.stat().st_mode & 0o777 == 0o644, "others of a group can read it"
