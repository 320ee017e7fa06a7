"""Sweeps on a real Slurm: jobs that it stops and starts again end as if they had never been stopped."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dgmrun.command import slurm as module
from dgmrun.command.jobs import Job
from dgmrun.errors import Mistake, RunFailed
from dgmrun.run import queue
from tests.cluster import said, slurm, until
from tests.contracts.pairs import assert_same, outcome

__all__ = ["slurm"]
Command = Callable[..., int]
SWEEP = (
    "-m --config-dir=mine model=rbm objective=slow dataset=bars_and_stripes dataset.side=2 "
    "dataset.event.shape=[1,2,2] dataset.batch_size=4 model.hidden=3 checkpoint.every_n_steps=100 "
    "trainer.max_steps=400 log_z.methods=[exact] seed=1,2,3,4,5,6,7,8 train log_z sweep.name=eight sweep.jobs=3"
).split()
SLOW = """
import time
from dgmrun.objectives.contrastive.pcd import PCD

class Slow(PCD):
    def loss(self, batch):
        time.sleep(0.01)
        return super().loss(batch)
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An objective that takes its time, so that a job can be met while it trains."""
    (tmp_path / "mine" / "objective").mkdir(parents=True)
    (tmp_path / "mine" / "slow.py").write_text(SLOW)
    (tmp_path / "mine" / "objective" / "slow.yaml").write_text("_target_: slow.Slow\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'mine'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.chdir(tmp_path)


def dgmrun(*argv: str) -> str:
    """What the real command prints."""
    return said(sys.executable, "-m", "dgmrun", *argv)


def results(run: Path) -> dict[str, Any]:
    file = run / "results.json"
    return json.loads(file.read_text()) if file.exists() else {}


def steps(run: Path) -> int:
    return int(results(run).get("train", {}).get("steps", 0))


def job(run: Path) -> str:
    return (run / queue.JOB).read_text().strip()


def log(run: Path) -> str:
    """All that Slurm has kept of the job of a run."""
    return "".join(file.read_text() for file in (run.parent / "slurm").glob(f"{job(run)}_*log*"))


@pytest.mark.slow
def test_a_sweep_of_eight_with_two_requeues_and_a_drained_node_is_one_that_nothing_happened_to(
    slurm: str, slow: None, tmp_path: Path
) -> None:
    folder = tmp_path / "outputs" / "sweeps" / "eight"
    assert "8 queued" in dgmrun(*SWEEP, "sweep.on=slurm")
    runs = sorted(place.parent for place in folder.glob("*/config.yaml"))
    assert dgmrun("compare", "outputs").count("queued") >= 5, "three run at once"
    first, second = (run for run in sorted(runs, key=job) if job(run)[-2:] in ("_0", "_1"))
    until(lambda: steps(first), 90, "a job that trains")
    command = ["scancel", "--signal=USR2", job(first)]  # what submitit has Slurm send before the end of the time
    with subprocess.Popen(command) as sender:  # which repeats it, as it takes an array that waits for one that changes
        until(lambda: "Requeued job" in log(first), 60, "a job that is queued again")
        sender.kill()
    assert steps(first) % 100, "saved at the signal, not before"
    until(lambda: steps(second), 90, "another job that trains")
    said("scontrol", "requeue", job(second))  # what Slurm does where a machine fails
    said("scontrol", "update", f"nodename={slurm}", "state=drain", "reason=test")
    until(lambda: "running" not in queue.queued(runs).values(), 90, "the last job before the drain")
    assert {"queued"} == set(queue.queued(runs).values())
    assert "queued" in dgmrun(*SWEEP, "sweep.on=slurm"), "what waits is not submitted again"
    said("scontrol", "update", f"nodename={slurm}", "state=resume")
    until(lambda: not queue.queued(runs), 240, "the end of the sweep")
    assert {results(run)["status"] for run in runs} == {"done"}
    assert len(log(second).split("Starting with")) > 2, "Slurm has started it twice"
    assert "8 done before" in dgmrun(*SWEEP, "sweep.on=slurm")
    half = [word.replace("seed=1,2,3,4,5,6,7,8", "seed=1,2,3,4") for word in SWEEP]  # of which the first were stopped
    dgmrun(*half, f"hydra.sweep.dir={tmp_path / 'here'}")
    undisturbed = sorted((tmp_path / "here").iterdir())
    assert {first.name, second.name} < {run.name for run in undisturbed}
    assert len(undisturbed) == 4
    for run in undisturbed:
        assert_same(outcome(folder / run.name), outcome(run), run.name)


@pytest.mark.slow
def test_a_job_that_gives_way_to_another_is_started_again(slurm: str, slow: None, tmp_path: Path) -> None:
    """Slurm starts again one that has not ended in the time of grace; one that ended by itself is lost to it."""
    words = [word for word in SWEEP if not word.startswith("seed=")]
    dgmrun(*words, "sweep.on=slurm", "sweep.slurm.cpus_per_task=3")
    (run,) = (place.parent for place in (tmp_path / "outputs" / "sweeps" / "eight").glob("*/config.yaml"))
    until(lambda: steps(run), 60, "a job that trains")
    said("sbatch", "--partition=urgent", "--cpus-per-task=3", "--output=/dev/null", "--wrap=sleep 1")
    until(lambda: results(run).get("status") == "interrupted", 60, "the job that gives way")
    reached = steps(run)
    until(lambda: results(run).get("status") == "done", 240, "the job that was started again")
    assert 0 < reached < steps(run) == 400


def test_what_slurm_cannot_do_is_refused(
    dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv, key in (
        (["-m", "sweep.on=cloud"], "`sweep.on` must be here or slurm"),
        (["sweep.on=slurm"], "`sweep.on` must be here but in a sweep"),
        (["-m", "sweep.on=slurm", "sweep.fail_fast=true"], "`sweep.fail_fast` must be false"),
        (["-m", "sweep.on=slurm", "device.num_nodes=2"], "`device.num_nodes` must be 1"),
        (["-m", "sweep.on=slurm", "sweep.slurm.time=99999999999"], "`sweep.slurm.time` must be at most"),
        (["-m", "sweep.on=slurm", "sweep.slurm.time=0"], "`sweep.slurm.time` must be"),
        (["-m", "sweep.on=slurm"], "without Slurm's sbatch"),
    ):
        monkeypatch.setenv("PATH", "")
        assert dgmrun("model=rbm", "train", *argv) == 2
        assert key in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_a_job_asks_for_what_its_device_needs() -> None:
    own = {
        "time": 60,
        "cpus_per_task": 4,
        "gpus_per_node": None,
        "mem": None,
        "partition": "a",
        "options": "--qos=b --exclusive",
    }
    sweep = {"jobs": 5, "slurm": own}
    gpu = {"accelerator": "gpu", "devices": 2}
    asked = module.parameters("name", sweep, gpu)
    assert (asked["gpus_per_node"], asked["nodes"], asked["array_parallelism"]) == (2, 1, 5)
    assert asked["additional_parameters"] == {"requeue": True, "qos": "b", "exclusive": True}
    assert "mem" not in asked
    assert "gpus_per_node" not in module.parameters("name", sweep, gpu | {"accelerator": "auto"})
    with pytest.raises(Mistake, match=r"sweep\.slurm\.gpus_per_node"):
        module.parameters("name", sweep, gpu | {"devices": -1})


def test_the_queue_says_what_waits_or_that_it_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [tmp_path / name for name in "abc"]
    for place, run in enumerate(runs[:2]):
        run.mkdir()
        queue.note(run, f"7_{place}")
    said_of = "#!/bin/sh\necho 7_0 PENDING; echo 7_1 RUNNING; echo 8 PENDING\n"
    (tmp_path / "squeue").write_text(said_of)
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert list(queue.queued(runs).values()) == ["queued", "running"]
    (tmp_path / "squeue").write_text("#!/bin/sh\necho no controller >&2; exit 1\n")
    with pytest.raises(RunFailed, match="but: no controller"):
        queue.queued(runs)


def test_a_task_is_pickled_without_its_process() -> None:
    task = module.Task(Job(Path("x"), {"seed": 1}, ["seed=1"]), ["--flag"])
    task.ending = threading.Thread()
    again = pickle.loads(pickle.dumps(task.checkpoint().function))
    assert (again.job, again.flags, again.child, again.ending) == (task.job, ["--flag"], None, None)


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Stands in for a Slurm, whose sbatch does as it is told."""

    def answer(sbatch: str) -> None:
        for name, words in (("sbatch", sbatch), ("srun", ""), ("squeue", "echo 7_0 PENDING")):
            (tmp_path / name).write_text(f"#!/bin/sh\n{words}\n")
            (tmp_path / name).chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return answer


def test_a_refused_sweep_leaves_a_line_and_nothing_else(
    dgmrun: Command, answers: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("echo 'sbatch: error: Batch job submission failed: Invalid account' >&2; exit 1")
    assert dgmrun("-m", "model=rbm", "seed=1,2", "train", "sweep.on=slurm", "hydra.sweep.dir=sweep") == 1
    said = capsys.readouterr().err
    assert "error: Slurm must take jobs as `sweep.slurm` says, but: Invalid account\n" in said
    assert [file for file in Path("sweep").rglob("*") if file.is_file()] == []


def test_compare_says_what_waits_and_what_never_started(
    dgmrun: Command, answers: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    answers("echo job 7")
    assert dgmrun("-m", "model=rbm", "seed=1,2", "train", "sweep.on=slurm") == 0
    assert "2 queued" in capsys.readouterr().out
    assert dgmrun("-m", "model=rbm", "seed=1,2", "train", "sweep.on=slurm") == 0
    assert "1 queued before, 1 queued" in capsys.readouterr().out
    assert dgmrun("compare", "outputs") == 0
    shown = capsys.readouterr().out
    assert all(shown.count(each) == 1 for each in ("queued", "failed", "it never started"))
