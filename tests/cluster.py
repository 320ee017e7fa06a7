"""A Slurm of one node on this machine, for tests: the real munged, slurmctld and slurmd, in a folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
SchedulerParameters=sched_interval=2,sched_min_interval=0,bf_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=3 State=UNKNOWN
PartitionName=jobs Nodes={host} Default=YES State=UP PriorityTier=1 GraceTime=10
PartitionName=urgent Nodes={host} State=UP PriorityTier=2
"""
DEADLINE = 60.0
"""Seconds for the machine to be ready."""


def until(is_so: Callable[[], object], seconds: float, what: str) -> None:
    """Waits until something is so; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def said(*command: str) -> str:
    """What a command prints."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in free]


@contextmanager
def _running(*command: str | Path) -> Iterator[None]:
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)


@contextmanager
def _munge(folder: Path) -> Iterator[None]:
    """Runs munged as its user, in a folder of its own."""
    folder.mkdir(mode=0o755)
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    for place in (folder, folder / "key"):
        shutil.chown(place, "munge", "munge")
    names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    with _running(
        *("runuser", "-u", "munge", "--", shutil.which("munged") or "/usr/sbin/munged", "--foreground"),
        *(f"--{option}={folder / name}" for option, name in names.items()),
    ):
        until((folder / "socket").exists, DEADLINE, "munged")
        yield


@pytest.fixture(scope="module")
def slurm() -> Iterator[str]:
    """The name of the one node of a Slurm that commands of this process talk to; jobs run as root, three at a time."""
    folder = Path(mkdtemp(prefix="slurm"))
    folder.chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    (folder / "state").mkdir()
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, host=host, ports=_free_ports(2)))
    with pytest.MonkeyPatch.context() as patch, _munge(folder / "munge"):
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        with _running("slurmctld", "-D"), _running("slurmd", "-D"):
            until(
                lambda: "idle" in subprocess.run(["sinfo"], capture_output=True, text=True).stdout, DEADLINE, "slurmd"
            )
            yield host
            subprocess.run(["scancel", "--full", "--signal=KILL", "--me"], check=False)
            subprocess.run(["scancel", "--me"], check=False)
            until(lambda: not said("squeue", "--noheader"), DEADLINE, "the end of all jobs")
    shutil.rmtree(folder)
