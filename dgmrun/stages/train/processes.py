"""Distributed data parallel training: each rank is a fresh process, and the first one that fails ends all others."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from dgmrun import children
from dgmrun.children import Child
from dgmrun.errors import INTERRUPTED, Mistake, RunFailed
from dgmrun.stages.train import machines

log = logging.getLogger("dgmrun")
STRATEGIES = ("auto", "ddp")
"""The same: distributed data parallel if there are several processes. Others split the model, or copy this process."""
POLL, GRACE = 0.05, 3.0
"""Seconds between checks on the ranks, and seconds that the other ranks have to end once one has failed."""
PATIENCE = timedelta(minutes=10)
"""How long processes wait for each other to start, as machines are not started at once."""
UNLIMITED = timedelta(days=30)
"""How long they wait in an evaluation, on one machine, where one that has ended is seen at once."""
LATE = re.compile("timed out|timeout", re.I)
LOST = re.compile("connection (closed|reset)|broken pipe|unreachable|no route|gloo/transport|remoteerror", re.I)
"""Patterns of the errors of libraries about others that do not answer, and about a connection that has ended."""
AGAIN = "look at the machines and their network; the same command goes on from the last checkpoint"


def here(device: Mapping[str, Any]) -> int:
    """Returns the number of processes that train on this machine."""
    every = device["devices"] == -1
    return torch.cuda.device_count() if every else int(device["devices"])


def total(device: Mapping[str, Any]) -> int:
    """Returns the number of processes that train on all machines."""
    return here(device) * int(device["num_nodes"])


def check(device: Mapping[str, Any]) -> None:
    """Refuses devices that do not permit several processes as configured.

    Raises:
        Mistake: a setting is invalid; the message names its key.
    """
    if here(device) < 1 or (device["devices"] == -1 and device["accelerator"] not in ("gpu", "cuda")):
        raise Mistake(f"`device.devices` must be at least 1, or -1 for every GPU, but is {device['devices']}")
    if device["strategy"] not in STRATEGIES:
        raise Mistake(f"`device.strategy` must be {' or '.join(STRATEGIES)}, but is {device['strategy']}")
    if device["timeout"] < 1:
        raise Mistake(f"`device.timeout` must be at least a second, but is {device['timeout']}")


def evaluate(word: str, device: Mapping[str, Any], act: Callable[[], None], alone: bool = False) -> None:
    """Does a stage of evaluation in the processes of this machine, or in this one if it has but one.

    Args:
        word: the stage.
        device: the configured device.
        act: does the stage, and shares it out if it is in one of several processes.
        alone: whether it cannot be shared out.
    """
    if children.is_rank():
        with joined(device, UNLIMITED):
            act()
    elif alone or here(device) < 2:
        act()
    else:
        start(word, {**device, "num_nodes": 1})


def start(word: str, device: Mapping[str, Any], locks: Sequence[int] = ()) -> None:
    """Starts a rank for each device, which does the stage, and waits for all; they hold the locks until they end.

    Raises:
        Mistake: the error of the first rank that failed, with the same type.
    """
    place = machines.meeting_place(device)
    if device["num_nodes"] > 1:
        where, minutes = ":".join(place[key] for key in ("MASTER_ADDR", "MASTER_PORT")), PATIENCE.total_seconds() / 60
        log.info("waiting for %d processes at %s, for at most %.0f minutes", total(device), where, minutes)
    ranks = [
        Child([*sys.argv[1:], f"stages=[{word}]"], _environment(device, rank, place), quiet=False, locks=locks)
        for rank in range(here(device))
    ]
    try:
        try:
            _wait(ranks)
        except KeyboardInterrupt:
            for number in children.REPEATED:
                signal.signal(number, signal.SIG_IGN)
            for rank in ranks:
                rank.interrupt()
            _wait(ranks, longest=math.inf if word == "train" else children.ORPHANED)
            if any(rank.process.poll() is None for rank in ranks):
                raise
        if (first := _first_failure(ranks, total(device))) is not None:
            raise first
    finally:
        for rank in ranks:
            rank.close()


def _wait(ranks: Sequence[Child], longest: float = math.inf) -> None:
    """Waits until all ranks have ended, one has failed and the grace period is over, or the longest time is."""
    end = time.monotonic() + longest
    while time.monotonic() < end and (codes := [rank.process.poll() for rank in ranks]).count(None):
        if any(code not in (None, 0, INTERRUPTED) for code in codes):
            end = min(end, time.monotonic() + GRACE)  # from the first time on
        time.sleep(POLL)


def _first_failure(ranks: Sequence[Child], number: int) -> Mistake | None:
    """Returns the error of the rank that failed first; ranks killed by a signal, which write no error, come first."""
    failed = [rank for rank in ranks if rank.process.poll() is not None and rank.failure()]
    if not failed:
        return None
    first = min(failed, key=Child.failed_at)
    failure = first.failure()
    assert failure is not None
    if type(failure) is RunFailed:
        rank = children.node() * len(ranks) + ranks.index(first)
        return RunFailed(f"process {rank} of {number}: {failure}", failure.hint)
    return failure


def _environment(device: Mapping[str, Any], local_rank: int, place: Mapping[str, str]) -> dict[str, str]:
    threads = max(1, torch.get_num_threads() // here(device))
    return {
        **place,
        "NODE_RANK": str(children.node()),
        "LOCAL_RANK": str(local_rank),
        "RANK": str(children.node() * here(device) + local_rank),
        "WORLD_SIZE": str(total(device)),
        "OMP_NUM_THREADS": str(threads),
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }


@contextmanager
def joined(device: Mapping[str, Any], timeout: timedelta) -> Iterator[None]:
    """Context manager in which a rank is connected to the others; in any other process, it does nothing.

    Args:
        device: the configured device.
        timeout: how long it waits for an answer of the others.

    Raises:
        RunFailed: not all ranks come, or one does not answer in time or at all.
    """
    if not children.is_rank():
        yield
        return
    rank, number = (int(os.environ[key]) for key in ("RANK", "WORLD_SIZE"))
    is_gpu = torch.cuda.is_available() and device["accelerator"] != "cpu"
    if is_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        with _mortal():
            store, *_ = next(rendezvous("env://", rank, number, timeout=PATIENCE))
            store.set_timeout(timeout)
            backend = "nccl" if is_gpu else "gloo"
            distributed.init_process_group(backend, store=store, rank=rank, world_size=number, timeout=timeout)
        yield
    except RuntimeError as error:
        raise of_others(error, device) or error from None
    distributed.destroy_process_group()  # at exit, it could abort the process


def await_first() -> None:
    """Waits for the first process, which alone has written or drawn something, as long as for one that has to come."""
    if distributed.is_initialized():
        distributed.barrier(_patient_group())


@cache
def _patient_group() -> Any:
    return distributed.new_group(backend="gloo", timeout=PATIENCE)


@contextmanager
def _mortal() -> Iterator[None]:
    """Context manager in which a signal ends the process at once, as Python cannot handle it within a library."""
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in children.STOPS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def of_others(error: RuntimeError, device: Mapping[str, Any]) -> RunFailed | None:
    """Returns what is said of an error that is due to other processes, or None if it is not."""
    text, place = str(error), ":".join(os.environ[key] for key in ("MASTER_ADDR", "MASTER_PORT"))
    if isinstance(error, distributed.DistNetworkError | distributed.DistStoreError):
        minutes = f"{PATIENCE.total_seconds() / 60:.0f} minutes"
        return RunFailed(
            f"all {os.environ['WORLD_SIZE']} processes must come to {place} within {minutes}, but have not", AGAIN
        )
    if LATE.search(text):
        return RunFailed(
            f"each process must answer within the {device['timeout']} seconds of `device.timeout`, but one has not",
            f"{AGAIN}; a larger device.timeout where it is only slow",
        )
    return RunFailed("each process must answer, but one is gone", AGAIN) if LOST.search(text) else None
