"""Several machines that train one run: where they meet, and by which network."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psutil

from dgmrun.errors import Mistake

FIRST = re.compile(r"([^\[,]+)(?:\[(\d+))?")
"""Pattern of the first name in a list of Slurm such as `gpu[07-09,12]`: what it begins with, and its number."""
ELSEWHERE = "192.0.2.1"
"""An address of no machine: what leads there leads out of this one."""
OF_GLOO, OF_NCCL = "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"
"""Environment variables with the network interface that a library is to use."""


def check(device: Mapping[str, Any]) -> None:
    """Refuses several machines that do not know where to meet.

    Raises:
        Mistake: an environment variable is missing.
    """
    if device["num_nodes"] == 1:
        return
    _ask_slurm()
    for key, least, end in (("NODE_RANK", 0, device["num_nodes"]), ("MASTER_PORT", 1, 65536)):
        given = os.environ.get(key, str(least))
        if not given.isdecimal() or not least <= int(given) < end:
            raise Mistake(f"{key} must be a whole number from {least} to {end - 1}, but is {given}")
    if not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys():
        raise Mistake(
            "`device.num_nodes` above 1 must have NODE_RANK, MASTER_ADDR and MASTER_PORT in the environment",
            "NODE_RANK=0 MASTER_ADDR=<first node> MASTER_PORT=29500 dgmrun train run=DIR; on every node its NODE_RANK",
        )
    try:
        socket.getaddrinfo(os.environ["MASTER_ADDR"], None)
    except (OSError, UnicodeError):
        must = f"MASTER_ADDR must be a machine that this one can find, but is {os.environ['MASTER_ADDR']}"
        raise Mistake(must, "getent hosts NAME says whether it can") from None


def _ask_slurm() -> None:
    """In a step of srun, makes its first machine the place to meet, unless another is given."""
    if found := FIRST.match(os.environ.get("SLURM_STEP_NODELIST", "")):
        first = "".join(found.groups(""))
        step = sum(int(os.environ.get(key, "0")) for key in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        os.environ.setdefault("MASTER_ADDR", first)
        os.environ.setdefault("MASTER_PORT", str(15000 + step % 10000))


def meeting_place(device: Mapping[str, Any]) -> dict[str, str]:
    """Returns environment variables with the address and port at which processes meet, and the way there."""
    if device["num_nodes"] > 1:
        place = {key: os.environ[key] for key in ("MASTER_ADDR", "MASTER_PORT")}
        agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE")
        place |= {} if agent is None else {"TORCHELASTIC_USE_AGENT_STORE": agent}
    else:
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
    way = interface(place["MASTER_ADDR"], is_local=device["num_nodes"] == 1)
    ways = {} if way is None else {key: os.environ.get(key, way) for key in (OF_GLOO, OF_NCCL)}
    return {**place, **ways}


def interface(address: str, is_local: bool) -> str | None:
    """Returns the name of the network interface that leads to an address, or None if there is none.

    The libraries would take that of the host's name, which may lead nowhere: many systems give it the address
    127.0.1.1. Where the address is of this machine itself, the others reach it by the default route, else by any.
    """
    names = {
        each.address: name
        for name, every in psutil.net_if_addrs().items()
        for each in every
        if each.family is socket.AF_INET
    }
    sources = (_source(address), _source(ELSEWHERE), *names)
    return next((names[own] for own in sources if own in names and own.startswith("127.") == is_local), None)


def _source(address: str) -> str:
    """Returns the address from which this machine would send to another one."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))  # which sends nothing
        return str(probe.getsockname()[0])
    return ""


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])
