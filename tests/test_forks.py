"""Forked jobs are processes of their own, of a server that has done nothing but import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dgmrun.command import forks, sweep
from dgmrun.command.forks import LONGEST, Fork, Server, can_fork
from dgmrun.command.jobs import Job

pytestmark = pytest.mark.skipif(not can_fork(), reason="forks are for Linux")
PLAY = """
import os, runpy, signal, sys, threading, time
from functools import partial
if "import forks" in sys.orig_argv[-1]:
    from dgmrun.command import warm
    if "HEAVY" in os.environ:
        import torch
        asked = []
        for name in ("is_available", "device_count", "current_device", "_lazy_init"):
            setattr(torch.cuda, name, partial(asked.append, name))
    else:
        warm.prepare = lambda: None
    if "FAILING" in os.environ:  # for the first request; the server forks itself once before
        of_os = os.environ["FAILING"]
        true, fails = getattr(os, of_os), [True, False] if of_os == "fork" else [True]
        def once(*given):
            if fails and fails.pop():
                raise OSError(11, "there can be no more")
            return true(*given)
        setattr(os, of_os, once)
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


LEFT = """
import atexit, io, weakref
class Odd(io.IOBase):
    def flush(self):
        raise AttributeError
class Held:
    def __del__(self):
        os._exit(9)
atexit.register(print, "due", file=sys.stderr)
sys.left = [Odd(), Held(), weakref.proxy(Odd()), open({file!r}, "w")]
sys.left[-1].write("written")
sys.exit(3)
"""


def test_a_fork_does_what_is_due_at_its_exit_writes_what_is_buffered_and_frees_nothing(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "open"
    one = forked(server, tmp_path, LEFT.format(file=str(file)))
    assert one.wait() == 3
    assert (tmp_path / "stderr").read_text() == "due\n"
    assert file.read_text() == "written"
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


@pytest.mark.parametrize("status", [0, 3, -signal.SIGKILL])
def test_a_fork_outlives_its_server_and_there_is_no_other(server: Server, tmp_path: Path, status: int) -> None:
    end = f"sys.exit({status})" if status >= 0 else f"os.kill(os.getpid(), {-status})"
    one = forked(server, tmp_path, f"os.read(0, 1); {end}")
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
    one.communicate()
    assert one.returncode == status


@pytest.mark.parametrize("width", [1, 2])
def test_an_interrupted_sweep_ends_though_its_server_has_been_stopped(
    width: int, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it tells the end of a job that runs; with two at a time, also before it answers for the second."""
    monkeypatch.setattr(sweep, "prepared", lambda job, flags: [job.overrides[0]])
    monkeypatch.setattr(sweep, "inherited", lambda own: {**environment, **own})
    withdrawn: list[str] = []
    monkeypatch.setattr(sweep, "withdraw", lambda job: withdrawn.append(job.path.name))
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    codes = {"first": f"open({str(tmp_path / 'runs')!r}, 'w'); time.sleep(60)", "second": "time.sleep(60)"}
    jobs = [Job(tmp_path / name, {}, [code]) for name, code in codes.items()]
    pool = sweep.Jobs(jobs, {"jobs": width, "fail_fast": False, "fresh": False}, [])
    assert pool.server is not None

    def interrupt() -> None:
        while not (tmp_path / "runs").exists():
            time.sleep(0.01)
        assert pool.server is not None
        assert pool.server.process is not None
        pool.server.process.send_signal(signal.SIGSTOP)
        asked.set()
        os.kill(os.getpid(), signal.SIGINT)

    asked = threading.Event()
    true = sweep.Pool._execute
    later = lambda pool, job, name: (job is jobs[0] or asked.wait(), true(pool, job, name))  # noqa: E731
    monkeypatch.setattr(sweep.Pool, "_execute", later)
    threading.Thread(target=interrupt, daemon=True).start()
    started = time.monotonic()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it for background commands
    try:
        pool.run()
    finally:
        signal.signal(signal.SIGINT, handler)
    assert time.monotonic() - started < 20
    assert pool.is_interrupted
    assert [job.state for job in jobs] == ["interrupted", "not started" if width == 1 else "interrupted"]
    assert withdrawn == ["first"] if width == 1 else sorted(withdrawn) == ["first", "second"]
    assert pool.server.process is not None
    assert pool.server.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("failing", ["fork", "pidfd_open"])
def test_a_request_that_fails_harms_no_other(environment: dict[str, str], tmp_path: Path, failing: str) -> None:
    server = Server({**environment, "FAILING": failing})
    with (tmp_path / "stderr").open("wb") as stderr:
        assert server.fork(["time.sleep(60)"], {}, stderr) is None
    with (tmp_path / "stderr").open("wb") as stderr:
        assert server.fork(["x" * LONGEST], {}, stderr) is None
    one = forked(server, tmp_path, "sys.exit(3)")
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    assert set(children) <= {str(one.pid)}
    assert one.wait() == 3
    one.communicate()
    server.close()


def test_a_system_that_forbids_what_tells_the_end_of_a_process_has_no_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int) -> int:
        raise PermissionError(pid)

    monkeypatch.setattr(os, "pidfd_open", forbidden)
    assert not forks.can_fork()


def test_several_threads_find_the_same_status(server: Server, tmp_path: Path) -> None:
    one = forked(server, tmp_path, "os.read(0, 1); sys.exit(3)")
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(one.wait) for _ in range(8)]
        os.close(one.stdin)
        assert {each.result() for each in found} == {3}


def test_no_signal_goes_to_a_number_that_may_be_another_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(pid))
    report, told = os.pipe()
    one = Fork(1234, report, os.dup(report))
    one.kill()
    for word in ("says", "ended"):
        forks._tell(told, word, 4)
        one.kill()
    os.close(told)
    one.communicate()
    assert (sent, one.returncode) == ([1234, 1234], 4)


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
has_no_gpu = not asked and not torch.cuda.is_initialized() and not torch.cuda._is_in_bad_fork()
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
