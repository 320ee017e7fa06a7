"""Forked jobs are processes of their own, of a server that has done nothing but import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgmrun.command.forks import Fork, Server

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks are for Linux")
PLAY = """
import os, runpy, signal, sys, threading, time
if "import forks" in sys.orig_argv[-1]:
    from dgmrun.command import forks
    if "HEAVY" not in os.environ:
        forks.OF_JOBS = []
    if "THREADED" in os.environ:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    runpy.run_module = lambda *_, **__: exec(sys.argv[1])
"""
"""Of each fork, its argument is what it does."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Environment variables of a server whose forks do what they are told."""
    (tmp_path / "sitecustomize.py").write_text(PLAY)
    return {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}


@pytest.fixture
def server(environment: dict[str, str]) -> Iterator[Server]:
    """Such a server."""
    made = Server(environment)
    yield made
    made.close()


def forked(server: Server, tmp_path: Path, code: str) -> Fork:
    """One that does this; its stderr goes to a file."""
    with (tmp_path / "stderr").open("wb") as stderr:
        made = server.fork([code], {"OF_FORK": "1"}, stderr)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("1 / 0", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    ],
)
def test_the_status_of_a_fork_is_that_of_a_fresh_process(
    server: Server, tmp_path: Path, code: str, status: int
) -> None:
    one = forked(server, tmp_path, code)
    assert one.wait() == one.poll() == status
    assert ("ZeroDivisionError" in (tmp_path / "stderr").read_text()) == (code == "1 / 0")
    one.kill()
    one.communicate()


def test_a_fork_has_its_session_its_variables_and_all_signals_and_ends_with_its_parent(
    server: Server, tmp_path: Path
) -> None:
    wants = "os.getsid(0) == os.getpid(), os.environ['OF_FORK'] == '1', not signal.pthread_sigmask(0, [])"
    one = forked(server, tmp_path, f"assert all([{wants}]); sys.exit(7 if os.read(0, 1) == b'' else 8)")
    with pytest.raises(subprocess.TimeoutExpired):
        one.wait(0.5)
    one.communicate()
    assert one.returncode == 7


def test_a_fork_outlives_its_server_and_there_is_no_other(server: Server, tmp_path: Path) -> None:
    one = forked(server, tmp_path, "os.read(0, 1)")
    assert server.process is not None
    for number in (signal.SIGINT, signal.SIGTERM):  # as schedulers send to all
        server.process.send_signal(number)
    two = forked(server, tmp_path, "sys.exit(3)")
    assert two.wait() == 3
    two.communicate()
    server.process.kill()
    server.process.wait()
    with (tmp_path / "stderr").open("wb") as stderr:
        assert server.fork([""], {}, stderr) is None
    assert one.poll() is None
    one.kill()
    assert one.wait() == -signal.SIGKILL
    one.communicate()


def test_a_server_with_threads_does_not_fork(environment: dict[str, str], tmp_path: Path) -> None:
    server = Server({**environment, "THREADED": "1"})
    with (tmp_path / "stderr").open("wb") as stderr:
        assert server.fork([""], {}, stderr) is None
    server.close()


def test_the_server_imports_and_does_nothing_else(environment: dict[str, str], tmp_path: Path) -> None:
    server = Server({**environment, "HEAVY": "1", "OMP_NUM_THREADS": "2"})
    code = """
import torch
is_loaded = "lightning" in sys.modules and len(os.listdir("/proc/self/task")) == 1
is_new = torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(torch.initial_seed()).get_state())
has_no_gpu = not torch.cuda.is_initialized() and not torch.cuda._is_in_bad_fork()
x = torch.rand(500, 500)  # in two threads
sys.exit(8 * is_loaded + 4 * is_new + 2 * has_no_gpu + (torch.get_num_threads() == 2 and bool((x @ x).sum() > 0)))
"""
    one = forked(server, tmp_path, code)
    assert one.wait() == 15
    one.communicate()
    server.close()


@pytest.mark.slow
def test_forked_and_fresh_jobs_end_with_the_same_bits(tmp_path: Path) -> None:
    words = "model=rbm model.hidden=5 seed=1,2 trainer.max_steps=40 log_z.methods=[exact] train log_z sweep.jobs=2"
    for fresh in ("false", "true"):
        command = [sys.executable, "-m", "dgmrun", "-m", *words.split(), f"sweep.fresh={fresh}", f"sweep.name={fresh}"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    forked, fresh = (
        sorted((tmp_path / "outputs" / "sweeps" / name).glob("*/*.safetensors")) for name in ("false", "true")
    )
    assert len(forked) == 2
    assert [file.read_bytes() for file in forked] == [file.read_bytes() for file in fresh]
