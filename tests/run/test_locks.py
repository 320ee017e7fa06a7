"""One at a time holds the lock of a folder, with flock and without, and nobody waits for the dead."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dgmrun.run import files, flock, locks
from dgmrun.run.directory import Run
from dgmrun.run.locks import LOCK, OWNER, is_held, locked

HOLDS = """
import fcntl, os, sys
from pathlib import Path
from dgmrun.run import files, flock, locks
def fails(handle, how):
    raise OSError(38, "no flock")
if "without" in sys.argv:
    fcntl.flock = fails
with locks.locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
WITHOUT = ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL")


@pytest.fixture(params=["flock", "without"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Whether the file system has flock."""
    if request.param == "without":
        lose_flock(monkeypatch)
    yield request.param
    locks._tell.cache_clear()


def lose_flock(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOLCK) -> None:
    """From now on, as on a file system without flock; and what takes seconds takes parts of one."""

    def fails(handle: Any, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fails)
    for name, seconds in {"TOUCHED": 0.05, "SILENT": 0.5, "SETTLED": 0.1, "POLL": 0.005}.items():
        monkeypatch.setattr(locks, name, seconds)
    locks._tell.cache_clear()


def test_one_at_a_time_holds_it(kind: str, tmp_path: Path) -> None:
    inside: list[int] = []

    def enter(number: int) -> int:
        with locked(tmp_path):
            inside.append(number)
            time.sleep(0.002)
            held = len(inside)
            inside.remove(number)
            return held

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(enter, range(24))) == {1}
    assert [*tmp_path.iterdir()] == []


def test_who_does_not_wait_is_refused_and_changes_nothing(kind: str, tmp_path: Path) -> None:
    with locked(tmp_path):
        for _ in range(2):
            with pytest.raises(BlockingIOError), locked(tmp_path, wait=False):
                pass
    with locked(tmp_path, wait=False):
        assert (tmp_path / OWNER).exists() == (kind == "without")
    assert [*tmp_path.iterdir()] == []


def test_an_error_releases_it(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        print(1 / 0)
    with locked(tmp_path, wait=False):
        pass
    assert [*tmp_path.iterdir()] == []


def test_sigkill_releases_it(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path), kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(BlockingIOError), locked(tmp_path, wait=False):
        pass
    assert is_held(tmp_path)
    process.kill()
    process.communicate()
    assert (tmp_path / {"flock": LOCK, "without": OWNER}[kind]).exists()
    assert not is_held(tmp_path)
    with locked(tmp_path, wait=False):
        pass
    assert [*tmp_path.iterdir()] == []


def test_children_of_the_dead_keep_it_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_flock(monkeypatch)
    (tmp_path / OWNER).write_text(f"{locks._machine()} {2**22 + 1} 0123")
    (tmp_path / LOCK).touch()
    command = [sys.executable, "-c", "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"]
    process = subprocess.Popen([*command, tmp_path / LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert is_held(tmp_path)
    start = time.monotonic()
    with locked(tmp_path, wait=False):
        assert time.monotonic() - start > locks.SILENT
    process.communicate()


def test_an_owner_that_was_asleep_ends(tmp_path: Path) -> None:
    lines = ["from pathlib import Path", "from dgmrun.run import locks", "locks.TOUCHED = 0.01", "import threading"]
    touch = f"locks._touch(Path({str(tmp_path / OWNER)!r}), 'mine', threading.Event())"
    (tmp_path / OWNER).write_text("of another")
    command = [sys.executable, "-c", "\n".join([*lines, touch])]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.returncode == 1
    assert said.stderr == f"error: {tmp_path} was silent for too long and another process has taken over\n"
    assert (tmp_path / OWNER).read_text() == "of another"


@pytest.mark.parametrize("name", WITHOUT)
def test_a_file_system_without_flock_is_told_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lose_flock(monkeypatch, getattr(errno, name))
    run = Run.create(tmp_path / "run", {}, {})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: run.merge({"train": {str(number): number}}), range(8)))
    assert run.results["train"] == {str(number): number for number in range(8)}
    assert [record.message for record in caplog.records] == [
        "warning: the file system of the run has no flock between machines; .owner files stand for it"
    ]


@pytest.mark.parametrize("option", sorted(flock.LOCAL))
def test_a_flock_that_stays_on_this_machine_is_none(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = os.stat(tmp_path).st_dev
    mounts, folder = tmp_path / "mounts", tmp_path / "folder"
    folder.mkdir()
    mounts.write_text(f"1 2 {os.major(device)}:{os.minor(device)} / /at rw - nfs server:/at rw,vers=3,{option},hard\n")
    monkeypatch.setattr(flock, "MOUNTS", mounts)
    flock.is_local.cache_clear()
    try:
        with locked(folder), files.temporary(folder / "file"):
            assert (folder / OWNER).exists()
            files.remove_leftovers(folder)
            assert len([*folder.glob(f".*{files.WRITING}")]) == 1, "it may be in use on another machine"
    finally:
        flock.is_local.cache_clear()


@pytest.mark.parametrize("year", [1990, 2100])
def test_of_another_machine_silence_counts_and_no_clock(
    year: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_flock(monkeypatch)
    owner = tmp_path / OWNER
    owner.write_text("elsewhere 1 0123")
    os.utime(owner, ((year - 1970) * 31_557_600,) * 2)
    start = time.monotonic()
    with locked(tmp_path, wait=False):
        assert time.monotonic() - start > locks.SILENT
        assert owner.read_text().split()[1] == str(os.getpid())
    assert [*tmp_path.iterdir()] == []


def test_several_that_watch_it_end_get_it_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_flock(monkeypatch)
    monkeypatch.setattr(locks, "SETTLED", 1.0)
    (tmp_path / OWNER).write_text("elsewhere 1 0123")
    inside: list[int] = []

    def enter(number: int) -> int:
        with locked(tmp_path):
            inside.append(number)
            time.sleep(0.05)
            held = len(inside)
            inside.remove(number)
            return held

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(enter, range(3))) == {1}


def test_of_another_machine_a_touch_is_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_flock(monkeypatch)
    monkeypatch.setattr(locks, "SILENT", 60.0)
    (tmp_path / OWNER).write_text("elsewhere 1 0123")
    ended = threading.Event()
    touching = threading.Thread(target=locks._touch, args=(tmp_path / OWNER, "elsewhere 1 0123", ended))
    touching.start()
    try:
        with pytest.raises(BlockingIOError), locked(tmp_path, wait=False):
            pass
    finally:
        ended.set()
        touching.join()
    assert (tmp_path / OWNER).read_text() == "elsewhere 1 0123"
