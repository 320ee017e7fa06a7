"""Sweeps through the real command: failures stay alone, and the same sweep started again does only what is missing.

But for one sweep the jobs only play: what they import and compute is the affair of other tests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dgmrun.children import OF_RANKS
from dgmrun.command.jobs import Job, run_hash, unique
from dgmrun.errors import Mistake

TINY = (
    "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4 model.hidden=3 "
    "trainer.max_steps=6 trainer.validate_every_n_steps=2 checkpoint.every_n_steps=2 log_z.methods=[exact]"
).split()
PROBE = """
import os, pathlib, time
from dgmrun.objectives.contrastive.pcd import PCD

class Probe(PCD):
    def __init__(self, model, optimization, k=1, num_chains=None, fate="well"):
        super().__init__(model, optimization, k, num_chains)
        self.fate = fate.rstrip("0123456789")

    def loss(self, batch):
        loss, terms = super().loss(batch)
        if self.iteration == 4 and os.environ.get("LOCAL_RANK") in (None, "1"):
            if self.fate == "raises":
                raise RuntimeError("as it should")
            if self.fate == "waits" and not pathlib.Path("healed").exists():
                pathlib.Path("waiting").write_text(str(os.getpid()))
                time.sleep(600)
            if self.fate == "diverges":
                loss = loss * float("nan")
        return loss, terms
"""
"""Where several processes train, the second has the fate."""


STUB = Path(__file__).parent / "stub"


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments that choose the objective `probe`, whose `fate` is well, raises, diverges or waits; then a number.

    What other launchers leave in the environment is there, and must not reach the jobs.
    """
    (tmp_path / "mine" / "objective").mkdir(parents=True)
    (tmp_path / "mine" / "probing.py").write_text(PROBE)
    (tmp_path / "mine" / "objective" / "probe.yaml").write_text(
        "# A probe.\n_target_: probing.Probe\nk: 1\nnum_chains: null\nfate: well\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'mine'}:{os.environ.get('PYTHONPATH', '')}")
    for key in OF_RANKS:
        monkeypatch.setenv(key, "7")
    return [f"--config-dir={tmp_path / 'mine'}", "model=rbm", "objective=probe", *TINY]


@pytest.fixture
def stub(probe: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The same, with jobs that only play (tests/stub)."""
    monkeypatch.setenv("PYTHONPATH", f"{STUB}:{os.environ['PYTHONPATH']}")
    return probe


def sweep(*argv: str) -> subprocess.Popen[str]:
    """`dgmrun -m ...`, started."""
    command = [sys.executable, "-m", "dgmrun", "-m", *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def await_(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Until the condition holds; fails if the process has ended first."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def started() -> int:
    """How many jobs are at work."""
    return sum(json.loads(text).get("status") == "running" for text in written().values())


def kill_what_waits(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the job that waits for it, when it does."""
    await_(lambda: Path("waiting").exists() and Path("waiting").read_text(), process)
    os.kill(int(Path("waiting").read_text()), signal.SIGKILL)


def states(table: str) -> dict[str, str]:
    """Fate -> state, as the table shows them."""
    words = ("done before", "done", "failed", "killed", "refused", "interrupted", "not started")
    lines = [line for line in table.splitlines() if "objective.fate=" in line]
    fates = [line.split("objective.fate=")[1].split()[0] for line in lines]
    return {fate: next(word for word in words if word in line) for fate, line in zip(fates, lines, strict=True)}


def written() -> dict[str, bytes]:
    """results.json of every run of every sweep."""
    return {str(file): file.read_bytes() for file in Path("outputs").glob("sweeps/*/*/results.json")}


@pytest.mark.parametrize(
    "fates",
    [["well1", "raises", "waits", "diverges"], ["raises1", *(f"well{n}" for n in range(8)), "waits", "raises2"]],
)
def test_failures_stay_alone_and_only_what_is_missing_is_run_again(fates: list[str], stub: list[str]) -> None:
    sweep_twice("cpu", fates, stub)


@pytest.mark.parametrize(
    ("device", "fates"),
    [
        pytest.param("cpu", ["well1", "raises"], marks=pytest.mark.slow),
        pytest.param("cpu", ["well1", "raises", "waits", "diverges"], marks=pytest.mark.slow),
        pytest.param("ddp_cpu", ["raises", "well1"], marks=pytest.mark.slow),
    ],
)
def test_real_failures_stay_alone_and_only_what_is_missing_is_run_again(
    device: str, fates: list[str], probe: list[str]
) -> None:
    sweep_twice(device, fates, probe)


def sweep_twice(device: str, fates: list[str], probe: list[str]) -> None:
    """The second time, what was killed is healed."""
    command = [*probe, f"device={device}", f"objective.fate={','.join(fates)}", "train", "log_z", "sweep.jobs=2"]
    is_well = [fate for fate in fates if fate.startswith("well")]
    first = sweep(*command)
    if "waits" in fates:
        kill_what_waits(first)
    table, errors = first.communicate(timeout=300)
    assert first.returncode == 1, errors
    expected = {fate: "done" if fate in is_well else "killed" if fate == "waits" else "failed" for fate in fates}
    assert states(table) == expected
    assert f"{len(fates) - len(is_well)} of {len(fates)} jobs are not done" in errors
    assert "Traceback" not in errors
    assert sorted(path.name for path in Path("outputs", "sweeps").iterdir()) == ["default"]
    before = written()
    assert len(before) == len(fates)
    assert sum("exact" in json.loads(text).get("log_z", {}) for text in before.values()) == len(is_well)

    Path("healed").touch()
    again = sweep(*command)
    table, errors = again.communicate(timeout=300)
    assert again.returncode == 1, errors
    again_expected = {fate: {"done": "done before", "killed": "done"}.get(expected[fate], "failed") for fate in fates}
    assert states(table) == again_expected
    after = written()
    assert before.keys() == after.keys()
    assert sum(before[file] == after[file] for file in before) == len(is_well)
    assert sum(json.loads(text)["status"] == "done" for text in after.values()) == len(is_well) + ("waits" in fates)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_saves_its_jobs_and_goes_on(number: int, stub: list[str]) -> None:
    command = [*stub, "objective.fate=endless1,endless2,endless3", "train"]
    process = sweep(*command)
    await_(lambda: started() == 1, process)
    process.send_signal(number)
    table, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert states(table) == {"endless1": "interrupted", "endless2": "not started", "endless3": "not started"}
    assert "Traceback" not in errors
    (results,) = (json.loads(text) for text in written().values())
    assert results["status"] == "interrupted"
    assert results["train"]["steps"] > 0


def test_the_first_that_is_lost_ends_a_sweep_that_fails_fast(stub: list[str]) -> None:
    process = sweep(*stub, "objective.fate=raises,well1,well2", "train", "sweep.fail_fast=true")
    table, _ = process.communicate(timeout=100)
    assert process.returncode == 1
    assert states(table) == {"raises": "failed", "well1": "not started", "well2": "not started"}


def test_a_job_that_no_run_can_be_made_of_leaves_nothing(stub: list[str]) -> None:
    process = sweep(*stub, "objective.k=0,1", "train")
    table, errors = process.communicate(timeout=100)
    assert process.returncode == 1, errors
    assert "`objective.k` must be at least 1, but is 0" in table
    assert len(list(Path("outputs", "sweeps", "default").iterdir())) == len(written()) == 1


def test_jobs_end_with_the_sweep_that_started_them(stub: list[str]) -> None:
    process = sweep(*stub, "objective.fate=endless1,endless2", "train", "sweep.jobs=2")
    await_(lambda: started() == 2, process)
    deadline = time.monotonic() + 60
    process.kill()
    process.communicate()
    while {json.loads(text)["status"] for text in written().values()} != {"interrupted"}:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_same_runs_with_other_settings_of_an_evaluation_are_evaluated_again(stub: list[str]) -> None:
    settings = ("log_z.ais.num_temperatures=20", "log_z.methods=[ais]")
    for added, state, chains in (
        (["log_z.ais.num_chains=50"], "done", 50),
        ([], "done", 100),
        ([], "done before", 100),
    ):
        process = sweep(*stub, *settings, *added, "objective.fate=well1", "train", "log_z")
        table, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
        assert f"  {state}  " in table
        (results,) = map(json.loads, written().values())
        assert results["log_z"]["ais"]["settings"]["num_chains"] == chains


def test_a_directory_that_is_no_run_spoils_no_other_job(stub: list[str]) -> None:
    command = [*stub, "objective.fate=well1,well2", "train"]
    first = sweep(*command)
    first.communicate(timeout=100)
    assert first.returncode == 0
    bad = next(Path("outputs", "sweeps", "default").iterdir())
    (bad / "config.yaml").write_text("model: 5\n")
    (bad / "results.json").write_text("{}")
    process = sweep(*command)
    table, errors = process.communicate(timeout=100)
    assert process.returncode == 1, errors
    assert sorted(states(table).values()) == ["done before", "refused"]


CONFIG: dict[str, Any] = {
    **{key: {"a": 1} for key in ("model", "objective", "dataset", "optimizer", "trainer")},
    **{
        "schedule": None,
        "seed": 0,
        "given": None,
        "weights": None,
        "device": {"devices": 1},
        "stages": ["train"],
        "log_z": {},
    },
}


def test_what_makes_a_run_names_it_and_nothing_else_does() -> None:
    name = run_hash(CONFIG)
    assert len(name) == 12
    for key in ("model", "objective", "dataset", "optimizer", "trainer", "schedule"):
        assert run_hash(CONFIG | {key: {"a": 2}}) != name
    assert run_hash(CONFIG | {"seed": 1}) != name
    assert run_hash(CONFIG | {"given": "labels"}) != name
    assert run_hash(CONFIG | {"seed": 0.0}) == name, "1 and 1.0 are the same"
    for key in ("device", "stages", "log_z", "likelihood", "name", "data_dir"):
        assert run_hash(CONFIG | {key: {"a": 2}}) == name


def test_of_a_path_what_lies_there_counts(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    for section in ({"weights": "{}"}, {"dataset": {"path": "{}"}}, {"objective": {"teacher": "{}"}}):
        named = [
            run_hash(CONFIG | json.loads(json.dumps(section).replace("{}", str(tmp_path / name)))) for name in "abc"
        ]
        assert named[0] == named[1] != named[2]
    with pytest.raises(Mistake, match="there is none"):
        run_hash(CONFIG | {"weights": str(tmp_path / "nowhere")})


def test_equal_jobs_are_one_and_those_that_would_share_a_directory_are_refused(tmp_path: Path) -> None:
    def job(override: str, **changes: Any) -> Job:
        config = CONFIG | changes
        return Job(tmp_path / run_hash(config), config, [override])

    assert len(unique([job("seed=0"), job("seed=0"), job("seed=1", seed=1)])) == 2
    with pytest.raises(Mistake, match="would share a directory") as refused:
        unique([job("notes=a", notes="a"), job("notes=b", notes="b")])
    assert refused.value.hint == "for value in a b; do dgmrun ... notes=$value; done"
