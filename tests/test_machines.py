"""Several machines: where they meet, by which network, and what becomes of the others when one is cut off."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from torch import distributed

from dgmrun import children
from dgmrun.errors import ERROR_FILE, Mistake
from dgmrun.stages.train import machines, processes
from tests.conftest import Command
from tests.hosts import hosts, launched_by, on_both, same_weights, set_wire
from tests.test_processes import of_run, probe, results, started

__all__ = ["hosts", "probe"]
SUM = """
import os
from datetime import timedelta
import torch
from dgmrun.stages.train import machines, processes

device = {"num_nodes": 2, "accelerator": "cpu", "timeout": 60}
os.environ |= {"RANK": os.environ["NODE_RANK"], **machines.meeting_place(device)}
with processes.joined(device, timedelta(seconds=60)):
    x = torch.tensor([10.0 ** int(os.environ["NODE_RANK"])])
    torch.distributed.all_reduce(x)
print(float(x))
"""
"""A rank of two machines, without a training."""


@pytest.mark.parametrize(
    ("machines_of_step", "first"),
    [("gpu[07-08,12]", "gpu07"), ("gpu7", "gpu7"), ("gpu7,cpu3", "gpu7"), ("gpu[7],cpu[1-9]", "gpu7")],
)
def test_machines_of_slurm_meet_at_the_first_of_the_step(
    machines_of_step: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched_by(monkeypatch, {"NODE_RANK": "1", "SLURM_STEP_NODELIST": machines_of_step, "SLURM_JOB_ID": "41234"})
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, port: [name])
    machines.check({"num_nodes": 2})
    place = machines.meeting_place({"num_nodes": 2})
    assert (place["MASTER_ADDR"], place["MASTER_PORT"]) == (first, "16234")


def test_a_machine_that_no_one_knows_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_by(monkeypatch, {"NODE_RANK": "1", "MASTER_ADDR": "nowhere.invalid", "MASTER_PORT": "29500"})
    with pytest.raises(Mistake, match=r"MASTER_ADDR must be a machine that this one can find, but is nowhere\.invalid"):
        machines.check({"num_nodes": 2})


def test_what_torchrun_left_reaches_several_machines_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its store has a port of its own, where nobody listens for a training on one machine."""
    launched_by(monkeypatch, {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"})
    assert "TORCHELASTIC_USE_AGENT_STORE" in machines.meeting_place({"num_nodes": 2})
    children.leave_others(1)
    assert not {"TORCHELASTIC_USE_AGENT_STORE", "MASTER_PORT"} & os.environ.keys()


@pytest.mark.parametrize(
    ("sources", "is_local", "name"),
    [
        ({"first": "10.0.0.2"}, False, "ib0"),  # the way to the first machine
        ({"first": "127.0.0.1", machines.ELSEWHERE: "192.168.1.5"}, False, "eth0"),  # itself, as it knows itself
        ({"first": "127.0.0.1"}, False, "eth0"),  # without a default route
        ({"first": "127.0.0.1"}, True, "lo"),
    ],
)
def test_the_network_is_the_one_that_leads_to_the_first_machine(
    sources: dict[str, str], is_local: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = {"lo": "127.0.0.1", "eth0": "192.168.1.5", "ib0": "10.0.0.2"}
    every = {key: [SimpleNamespace(family=socket.AF_INET, address=value)] for key, value in addresses.items()}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: every)
    monkeypatch.setattr(machines, "_source", lambda address: sources.get(address, ""))
    assert machines.interface("first", is_local) == name


def test_a_network_that_is_named_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_by(monkeypatch, {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"})
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "mine")
    assert machines.meeting_place({"num_nodes": 1})["GLOO_SOCKET_IFNAME"] == "mine"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("Timed out waiting 30000ms for recv"), "within the 30 seconds of `device.timeout`, but"),
        (RuntimeError("Application timeout caused pair closure"), "within the 30 seconds of `device.timeout`, but"),
        (RuntimeError("writev [10.77.0.2]:4711: No route to host"), "must answer, but one is gone"),
        (RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"), "must answer, but one is gone"),
        (distributed.DistNetworkError("2/3 clients joined"), "all 3 processes must come to first:1 within 10 minutes"),
        (RuntimeError("a matter of its own"), None),
    ],
)
def test_an_error_says_that_it_is_of_others(
    error: RuntimeError, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched_by(monkeypatch, {"MASTER_ADDR": "first", "MASTER_PORT": "1", "WORLD_SIZE": "3"})
    failure = processes.of_others(error, {"timeout": 30})
    assert (failure is None) == (told is None)
    assert told is None or told in str(failure)


def test_two_hosts_meet(hosts: list[str], tmp_path: Path) -> None:
    """By the network between them, of which the name of the host says nothing."""
    rank = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", ERROR_FILE: str(tmp_path / "error.json")}
    told = [process.communicate(timeout=100) for process in on_both(hosts, "-c", SUM, **rank)]
    assert [out for out, _ in told] == ["11.0\n", "11.0\n"], told


def train(hosts: list[str], folder: str, run: Path) -> list[subprocess.Popen[str]]:
    """`dgmrun train run=...` with one process on each host."""
    device = ("device=ddp_cpu", "device.devices=1", "device.num_nodes=2")
    return on_both(hosts, "-m", "dgmrun", folder, f"run={run}", "train", *device)


def ends(every: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Status and errors of each."""
    return [(process.returncode, errors) for process in every for _, errors in [process.communicate(timeout=200)]]


@pytest.mark.slow
def test_two_hosts_train_as_two_processes(probe: list[str], hosts: list[str], dgmrun: Command, tmp_path: Path) -> None:
    assert dgmrun(*probe, "device=ddp_cpu", "train", "hydra.run.dir=one") == 0
    assert dgmrun(*probe, "stages=[]", "hydra.run.dir=two") == 0
    assert [status for status, _ in ends(train(hosts, probe[0], tmp_path / "two"))] == [0, 0]
    assert same_weights(tmp_path / "one", tmp_path / "two")
    assert (results(tmp_path / "two")["status"], results(tmp_path / "two")["train"]["processes"]) == ("done", 2)


@pytest.mark.slow
def test_a_host_that_is_cut_off_ends_both_and_the_run_goes_on(
    probe: list[str], hosts: list[str], dgmrun: Command, tmp_path: Path
) -> None:
    """Each says so in a line, after 30 seconds of silence, and leaves nothing behind."""
    long = ("trainer.max_steps=1000", "trainer.validate_every_n_steps=500", "checkpoint.every_n_steps=20")
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    for folder in (run, undisturbed):
        assert dgmrun(*probe, *long, "stages=[]", f"hydra.run.dir={folder}") == 0
    every = train(hosts, probe[0], run)
    started(run, every[0])
    set_wire(hosts[0], "down")
    cut_off = time.monotonic()
    for node, (status, errors) in enumerate(ends(every)):
        told = errors[errors.index("error: ") :].splitlines()
        assert told[0].startswith(f"error: process {node} of 2: each process must answer within the 30 seconds")
        assert (status, len(told)) == (1, 3)
    assert (results(run)["status"], of_run(run)) == ("failed", [])
    assert time.monotonic() - cut_off < 60
    set_wire(hosts[0], "up")
    for folder in (run, undisturbed):
        assert [status for status, _ in ends(train(hosts, probe[0], folder))] == [0, 0]
    assert same_weights(run, undisturbed)
    assert results(run)["train"]["steps"] == 1000
