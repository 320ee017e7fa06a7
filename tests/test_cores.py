"""How many threads are taken beside other programs."""

from __future__ import annotations

import logging
import os
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from dgmrun.command.cores import Cores, check_threads
from dgmrun.errors import Mistake
from dgmrun.stages.train import resume

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
pytestmark = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="another system tells nothing")


def spent(file: Path, seconds: float) -> None:
    """All cores of this process have spent so much on programs, and another, if there is one, far more."""
    ticks = round(seconds * os.sysconf("SC_CLK_TCK"))
    rows = [f"cpu{core} {ticks} 0 0 7 0 0 0 0 0 0" for core in CORES]
    file.write_text("\n".join(["cpu 5 5 5 5", f"cpu{max(CORES) + 1} {10**9} 0 0 7", *rows, "intr 1 2 3"]))


@pytest.mark.parametrize(("busy", "left"), [(0.0, 4), (0.3, 4), (0.6, 3), (1.0, 3), (2.2, 2), (9.0, 1)])
def test_as_many_threads_as_others_leave(
    busy: float, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of four, beside programs that keep so many cores busy; those of the user are left alone."""
    spent(tmp_path / "stat", 100.0)
    cores = Cores(tmp_path / "stat")
    cores.since -= 1000.0
    spent(tmp_path / "stat", 100.0 + 1000.0 * busy / len(CORES))
    assert cores.others() == pytest.approx(busy, abs=0.01)
    taken: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    cores.share()
    monkeypatch.delenv("OMP_NUM_THREADS")
    with caplog.at_level(logging.INFO, "dgmrun"):
        cores.share()
    assert taken == [left] * (left < 4)
    assert (f"{left} of 4" in caplog.text) == (left < 4)


@pytest.mark.parametrize(("most", "given", "least"), [(4, None, 0.5), (4, "4", 0.0), (1, None, 0.0)])
def test_the_cores_are_watched_for_half_a_second_if_that_decides(
    most: int, given: str | None, least: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of a sweep is forked of a process that has imported everything, and is at its first stage at once."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: most)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    spent(tmp_path / "stat", 100.0)
    cores = Cores(tmp_path / "stat")
    cores.share()
    assert sum(slept) == least
    cores.since -= 0.3
    slept.clear()
    cores.share()
    assert sum(slept) == pytest.approx(max(0.0, least - 0.3))


@pytest.mark.parametrize(
    ("given", "is_number"),
    [(None, True), ("1", True), (" 4 ", True), ("4,2", True), ("x", False), ("0", False), ("", False), ("1.5", False)],
)
def test_a_number_of_threads_that_is_none_is_refused(
    given: str | None, is_number: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMP would leave it aside, and take all cores."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    with nullcontext() if is_number else pytest.raises(Mistake, match=r"`OMP_NUM_THREADS` must be a whole number"):
        check_threads()


def test_what_this_process_spends_is_not_of_others(tmp_path: Path) -> None:
    spent(tmp_path / "stat", 100.0)
    cores = Cores(tmp_path / "stat")
    cores.since, cores.own = cores.since - 1000.0, cores.own - 500.0
    spent(tmp_path / "stat", 100.0 + 500.0 / len(CORES))
    assert cores.others() == pytest.approx(0.0, abs=0.01)
    assert Cores(Path("nowhere")).others() == 0.0


def test_a_training_is_taken_up_with_the_threads_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for number in (1, 8, 9, 0, True, "2", None, 2.5):
        resume._take_threads(number)
    assert taken == []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for number in (3, 8, 9, 0, "2", None, 2.5):
        resume._take_threads(number)
    assert taken == [3, 8]
