"""Two hosts with a network of their own, and what tests of machines have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dgmrun import children


def launched_by(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """This process as a launcher has started it."""
    for key in [*children.OF_RANKS, *(key for key in os.environ if key.startswith("SLURM_"))]:
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two hosts that share this folder, joined by a cable: names of network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("networks are made by root, with iproute2")
    names = [f"dgmrun{os.getpid()}-{host}" for host in range(2)]
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", "wire", "netns", names[0], "type", "veth", "peer", "name", "wire", "netns", names[1])
        for host, name in enumerate(names):
            ip("-n", name, "addr", "add", f"10.77.0.{host + 1}/24", "dev", "wire")
            set_wire(name, "up")
        yield names
    finally:
        for name in names:
            ip("netns", "delete", name)


def ip(*words: str) -> None:
    """`ip ...`."""
    subprocess.run(["ip", *words], check=True)


def set_wire(host: str, state: str) -> None:
    """Plugs the cable of a host in, `up`, or out, `down`."""
    ip("-n", host, "link", "set", "wire", state)


def on_both(hosts: list[str], *words: str, **environment: str) -> list[subprocess.Popen[str]]:
    """`python ...` on each host, numbered, in the environment of two machines."""
    meeting = {**os.environ, "MASTER_ADDR": "10.77.0.1", "MASTER_PORT": "29500", **environment}
    return [
        subprocess.Popen(
            ["ip", "netns", "exec", host, sys.executable, *words],
            env=meeting | {"NODE_RANK": str(node)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node, host in enumerate(hosts)
    ]


def same_weights(one: Path, two: Path) -> bool:
    """Whether two runs have the same weights, to the bit."""
    first, second = (load_file(run / "weights.safetensors") for run in (one, two))
    return all(torch.equal(first[key], second[key]) for key in first)
