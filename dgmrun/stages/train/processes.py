"""Distributed data parallel training: each rank is a fresh process, and the first one that fails ends all others."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch

from dgmrun import children
from dgmrun.children import Child
from dgmrun.errors import INTERRUPTED, Mistake, RunFailed

POLL, GRACE = 0.05, 3.0
"""Seconds between checks on the ranks, and seconds that the other ranks have to end once one has failed."""


def here(device: dict[str, Any]) -> int:
    """Returns the number of processes that train on this machine."""
    every = device["devices"] == -1
    return torch.cuda.device_count() if every else int(device["devices"])


def total(device: dict[str, Any]) -> int:
    """Returns the number of processes that train on all machines."""
    return here(device) * int(device["num_nodes"])


def check(device: dict[str, Any]) -> None:
    """Refuses devices that do not permit distributed training as configured.

    Raises:
        Mistake: a setting is invalid; the message names its key.
    """
    if here(device) < 1 or (device["devices"] == -1 and device["accelerator"] not in ("gpu", "cuda")):
        raise Mistake(f"`device.devices` must be at least 1, or -1 for every GPU, but is {device['devices']}")
    if device["num_nodes"] > 1 and not os.environ.get("NODE_RANK", "0").isdecimal():
        raise Mistake(f"NODE_RANK must be a whole number, but is {os.environ['NODE_RANK']}")
    if device["num_nodes"] > 1 and not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys():
        raise Mistake(
            "`device.num_nodes` above 1 must have NODE_RANK, MASTER_ADDR and MASTER_PORT in the environment",
            "NODE_RANK=0 MASTER_ADDR=<first node> MASTER_PORT=29500 dgmrun train run=DIR; on every node its NODE_RANK",
        )


def train(device: dict[str, Any], locks: Sequence[int]) -> None:
    """Starts a rank for each device and waits for all of them; they hold the locks until the last one has ended.

    Raises:
        Mistake: the error of the first rank that failed, with the same type.
    """
    address, port = _address(device)
    ranks = [
        Child([*sys.argv[1:], "stages=[train]"], _environment(device, rank, address, port), quiet=False, locks=locks)
        for rank in range(here(device))
    ]
    try:
        try:
            _wait(ranks)
        except KeyboardInterrupt:
            for rank in ranks:
                rank.interrupt()
            _wait(ranks)
        if (first := _first_failure(ranks)) is not None:
            raise first
    finally:
        for rank in ranks:
            rank.close()


def _wait(ranks: Sequence[Child]) -> None:
    """Waits until all ranks have ended, or one has failed and the grace period is over."""
    while (codes := [rank.process.poll() for rank in ranks]).count(None):
        if any(code not in (None, 0, INTERRUPTED) for code in codes):
            time.sleep(GRACE)
            return
        time.sleep(POLL)


def _first_failure(ranks: Sequence[Child]) -> Mistake | None:
    """Returns the error of the rank that failed first; ranks killed by a signal, which write no error, come first."""
    failed = [rank for rank in ranks if rank.process.poll() is not None and rank.failure()]
    if not failed:
        return None
    first = min(failed, key=Child.failed_at)
    failure = first.failure()
    assert failure is not None
    if type(failure) is RunFailed:
        return RunFailed(f"process {ranks.index(first)} of {len(ranks)}: {failure}", failure.hint)
    return failure


def _address(device: dict[str, Any]) -> tuple[str, str]:
    if device["num_nodes"] > 1:
        return os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return "127.0.0.1", str(free.getsockname()[1])


def _environment(device: dict[str, Any], rank: int, address: str, port: str) -> dict[str, str]:
    threads = max(1, torch.get_num_threads() // here(device))
    return {
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "NODE_RANK": str(children.node()),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(total(device)),
        "OMP_NUM_THREADS": str(threads),
    }
