"""Other launchers: torchrun and srun start the same command several times, and one of each machine does the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dgmrun import children
from dgmrun.command import launcher
from dgmrun.command.launcher import Launched
from dgmrun.errors import Mistake
from tests.conftest import Command
from tests.hosts import launched_by, same_weights
from tests.test_processes import probe, results

__all__ = ["probe"]
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    **{"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1", "GROUP_WORLD_SIZE": "3"},
}
SRUN = {
    **{"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_TASKS_PER_NODE": "2(x2)"},
    **{"SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_JOB_ID": "1234"},
}
BATCH_STEP = {"SLURM_NTASKS": "4", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_PROCID": "0"}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (TORCHRUN, Launched("torchrun", 0, 2, 1, 3)),
        (TORCHRUN | SRUN, Launched("torchrun", 0, 2, 1, 3)),
        (SRUN, Launched("srun", 1, 2, 1, 2)),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}, Launched("srun", 1, None, 1, 2)),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "1"}, None),  # srun --pty bash
        (SRUN | {"NODE_RANK": "1"}, None),  # numbered by hand
        (BATCH_STEP, None),
        ({}, None),
    ],
)
def test_launchers_are_known_by_their_environment(
    environment: dict[str, str], place: Launched | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched_by(monkeypatch, environment)
    assert launcher.launched() == place


def test_a_launcher_says_how_many_devices_and_machines_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_by(monkeypatch, TORCHRUN)
    place = launcher.launched()
    assert place is not None
    assert launcher.completed(place, ["train"]) == ["train", "device.devices=2", "device.num_nodes=3"]
    assert children.node() == 1
    words = launcher.completed(place._replace(devices=None), ["device.devices=8"])
    assert words == ["device.devices=8", "device.num_nodes=3"]


@pytest.mark.parametrize(
    ("more", "words", "told"),
    [
        ({}, ["device.devices=3", "train"], "`device.devices` must be 2, as torchrun has it, but is 3"),
        ({}, ["-m", "seed=1,2"], "`-m` must be without torchrun, as a sweep starts its own processes"),
        ({"TORCHELASTIC_MAX_RESTARTS": "3"}, ["train"], "`run` must be given where torchrun starts again"),
        ({"LOCAL_RANK": "1"}, ["-m", "seed=1,2"], ""),
    ],
)
def test_what_a_launcher_cannot_start_is_refused_once(
    more: dict[str, str],
    words: list[str],
    told: str,
    dgmrun: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the first process of a machine; the others say nothing."""
    launched_by(monkeypatch, TORCHRUN | more)
    assert dgmrun("model=rbm", *words) == (2 if told else 0)
    errors = capsys.readouterr().err
    assert told in errors
    assert bool(errors) == bool(told)


def test_uneven_tasks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_by(monkeypatch, SRUN | {"SLURM_STEP_TASKS_PER_NODE": "3,1"})
    with pytest.raises(Mistake, match="as many tasks on each machine, but starts 3,1"):
        launcher.launched()


@pytest.mark.slow
def test_torchrun_starts_a_killed_rank_again(probe: list[str], dgmrun: Command, tmp_path: Path) -> None:
    """And the training goes on as if none had been killed."""
    fate = "objective.fate='is killed 1'"
    assert dgmrun(*probe, "device=ddp_cpu", "train", "hydra.run.dir=well") == 0
    assert dgmrun(*probe, fate, "stages=[]", "hydra.run.dir=run") == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1"]
    command = [*torchrun, "-m", "dgmrun", probe[0], f"run={tmp_path / 'run'}", "train"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert "process 1 of 2: ended by signal 9 (SIGKILL)" in done.stderr
    assert same_weights(tmp_path / "run", tmp_path / "well")
    assert results(tmp_path / "run")["train"]["history"][0]["changes"]["device.devices"] == [1, 2]
