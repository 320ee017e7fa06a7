"""Trainings in several processes: the same mathematics as in one, and no end that leaves the others waiting."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from safetensors.torch import load_file

from dgmrun.cli import main
from dgmrun.paths import options
from dgmrun.run import metrics
from dgmrun.stages.train import fit, processes

Command = Callable[..., int]
TINY = (
    "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4 model.hidden=3 "
    "trainer.max_steps=12 trainer.validate_every_n_steps=6 checkpoint.every_n_steps=4 optimizer.momentum=0.5 "
    "optimizer.ema=0.9 optimizer.clip_norm=1.0 trainer.accumulate=3"
).split()
PROBE = '''
import os, signal
from dgmrun.objectives.contrastive.contrast import contrast
from dgmrun.objectives.contrastive.cd import CD

class Probe(CD):
    """The contrast with the inverted data: nothing is drawn."""
    def __init__(self, model, optimization, fate="well"):
        super().__init__(model, optimization)
        self.fate = fate

    def loss(self, batch):
        is_first_time = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        if is_first_time and self.iteration == 6 and os.environ.get("LOCAL_RANK") == self.fate[-1]:
            if self.fate.startswith("raises"):
                raise RuntimeError("as it should")
            os.kill(os.getpid(), signal.SIGKILL)
        return contrast(self.model, batch.x, 1 - batch.x), {}
'''

FIXED = '''
from dgmrun.objectives.adversarial.gan import GAN

class Fixed(GAN):
    """A game without chance: the noise of an example is a function of it."""
    def player_loss(self, name, batch):
        self.model.noise = lambda num: batch.x.flatten(1)[:, : self.model.latent] - 0.3
        try:
            return super().player_loss(name, batch)
        finally:
            del self.model.noise
'''
GROWING = (
    "model=progressive_gan objective=fixed objective.critic.network=convolutional model.hidden=2 model.latent=16 "
    "objective.critic.hidden=2 objective.critic.depth=1 model.fade=3 model.stable=3 dataset.batch_size=8 "
    "trainer.max_steps=9 trainer.validate_every_n_steps=100"
).split()


STUB = Path(__file__).parent / "stub"


def probing(folder: Path) -> list[str]:
    """Arguments that choose a deterministic objective, whose `fate` may be to raise or to be killed in rank 0 or 1."""
    (folder / "mine" / "objective").mkdir(parents=True)
    (folder / "mine" / "probing.py").write_text(PROBE)
    (folder / "mine" / "objective" / "probe.yaml").write_text("_target_: probing.Probe\nfate: well\n")
    return [f"--config-dir={folder / 'mine'}", "model=rbm", "objective=probe", *TINY]


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The probe, for this process and those that it starts."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'mine'}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(tmp_path / "mine")
    return probing(tmp_path)


@pytest.fixture
def stub(probe: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The same, with ranks that only play (tests/stub) and soon die, and a Ctrl-C that is Python's own."""
    monkeypatch.setattr(processes, "GRACE", 0.2)
    monkeypatch.setenv("PYTHONPATH", f"{STUB}:{os.environ['PYTHONPATH']}")
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    yield [*probe, "device=ddp_cpu"]
    for number, handler in handlers.items():
        signal.signal(number, handler)


def signals(number: int) -> threading.Thread:
    """Sends a signal to this process as soon as two ranks wait."""

    def send() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not all(Path(f"waiting{rank}").exists() for rank in "01"):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def start(*argv: str, **environment: str) -> subprocess.Popen[str]:
    """`dgmrun ...`, started."""
    command = [sys.executable, "-m", "dgmrun", *argv]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})


def results(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "results.json").read_text())
    return content


def of_run(run: Path) -> list[int]:
    """The processes that work on a run."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{run}" in place.read_text() and int(place.parent.name) != os.getpid():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the probe trained by one process, `cpu`, and by two, `ddp_cpu`."""
    folder = tmp_path_factory.mktemp("both")
    words = probing(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", f"{folder / 'mine'}:{os.environ.get('PYTHONPATH', '')}")
        patch.syspath_prepend(folder / "mine")
        for device in ("cpu", "ddp_cpu"):
            patch.setattr(sys, "argv", ["dgmrun", *words, f"device={device}", "train", f"hydra.run.dir={device}"])
            assert main() == 0
    return folder


def test_two_processes_take_the_steps_of_one(both: Path) -> None:
    """Shares of a batch, their means, the mean of these: the gradient of the whole batch, up to rounding."""
    for name in ("weights", "weights-ema"):
        one, two = (load_file(both / device / f"{name}.safetensors") for device in ("cpu", "ddp_cpu"))
        assert one.keys() == two.keys()
        for key in one:
            torch.testing.assert_close(one[key], two[key], rtol=1e-5, atol=1e-6)
    alone, together = (metrics.curves(both / device) for device in ("cpu", "ddp_cpu"))
    assert alone.keys() == together.keys()
    for tag in alone:
        if tag.startswith("valid/"):
            assert together[tag] == [(step, pytest.approx(value, abs=1e-4)) for step, value in alone[tag]], tag
    assert results(both / "ddp_cpu")["train"]["processes"] == 2


@pytest.mark.parametrize("strategy", processes.STRATEGIES)
def test_several_processes_await_no_gradient_of_a_player_whose_turn_it_is_not(strategy: str) -> None:
    """Whatever the word: it is the number of processes that decides."""
    several = yaml.safe_load(options("device")["ddp_cpu"].read_text()) | {"strategy": strategy}
    found = fit.make_trainer(several).strategy
    assert isinstance(found, DDPStrategy)
    assert found._ddp_kwargs["find_unused_parameters"]
    assert isinstance(fit.make_trainer(several | {"devices": 1}).strategy, SingleDeviceStrategy)


@pytest.mark.slow
def test_two_processes_leave_alone_what_has_not_grown(
    dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adam counts the steps of each part of a growing generator as in one process: of a block from its first batch."""
    (tmp_path / "objective").mkdir()
    (tmp_path / "fixed.py").write_text(FIXED)
    node = yaml.safe_load(options("objective")["gan"].read_text()) | {"_target_": "fixed.Fixed"}
    (tmp_path / "objective" / "fixed.yaml").write_text(yaml.safe_dump(node))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(tmp_path)
    weights, counts = [], []
    for device, strategy in (("cpu", "ddp"), ("ddp_cpu", "auto")):
        words = [*GROWING, f"device={device}", f"device.strategy={strategy}", f"hydra.run.dir={device}"]
        assert dgmrun(f"--config-dir={tmp_path}", *words, "train") == 0
        weights.append(load_file(f"{device}/weights.safetensors"))
        states = torch.load(f"{device}/checkpoints/last.ckpt", weights_only=False)["optimizer_states"]
        counts.append([{place: int(one["step"]) for place, one in each["state"].items()} for each in states])
    assert counts[0] == counts[1]
    assert {*counts[0][1].values()} == {5, 6, 9}, "of the old pixels, of the new block, and of the first one"
    for key, one in weights[0].items():
        torch.testing.assert_close(weights[1][key], one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("fate", "end"), [("killed 1", "ended by signal 9 (SIGKILL)"), ("raises 1", "RuntimeError: as it should")]
)
def test_a_rank_that_dies_ends_the_run(
    fate: str, end: str, stub: list[str], dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun(*stub, f"objective.fate='{fate}'", "train", "hydra.run.dir=run") == 1
    cause = f"process 1 of 2: {end}"
    assert f"error: {cause}" in capsys.readouterr().err
    assert (results(tmp_path / "run")["status"], results(tmp_path / "run")["error"]) == ("failed", cause)
    assert of_run(tmp_path / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize("fate", ["raises 0", "raises 1", "is killed 1"])
def test_a_real_rank_that_dies_ends_the_run_with_its_error(
    fate: str, probe: list[str], dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*probe, f"objective.fate='{fate}'", "device=ddp_cpu", "train", "hydra.run.dir=run"]
    assert dgmrun(*command) == 1
    cause = "RuntimeError: as it should" if "raises" in fate else "ended by signal 9 (SIGKILL)"
    errors = capsys.readouterr().err
    assert f"error: process {fate[-1]} of 2: {cause}" in errors
    assert "Traceback" not in errors
    assert results(tmp_path / "run")["status"] == "failed"
    assert results(tmp_path / "run")["error"] == f"process {fate[-1]} of 2: {cause}"
    assert "is killed" in fate or "RuntimeError: as it should" in (tmp_path / "run" / "run.log").read_text()
    assert of_run(tmp_path / "run") == []


def started(run: Path, process: subprocess.Popen[str]) -> None:
    """Until the run has a checkpoint."""
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_to_the_ranks(
    number: int, stub: list[str], dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sender = signals(number)
    assert dgmrun(*stub, "objective.fate=endless", "train", "hydra.run.dir=run") == 130
    sender.join()
    run = tmp_path / "run"
    assert f"hint: dgmrun run={run}" in capsys.readouterr().err
    assert (results(run)["status"], of_run(run)) == ("interrupted", [])


def test_a_signal_to_ranks_that_are_starting_is_an_interrupt(stub: list[str], dgmrun: Command, tmp_path: Path) -> None:
    """They die of it, as they have nothing to save yet."""
    sender = signals(signal.SIGINT)
    assert dgmrun(*stub, "objective.fate=deaf", "train", "hydra.run.dir=run") == 130
    sender.join()
    assert results(tmp_path / "run")["status"] == "interrupted"
    assert of_run(tmp_path / "run") == []


@pytest.mark.slow
def test_a_signal_saves_and_a_killed_parent_takes_its_ranks_along(probe: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*probe, "trainer.max_steps=1000000", "device=ddp_cpu", "train", f"hydra.run.dir={run}")
    started(run, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"hint: dgmrun run={run}" in errors
    assert (results(run)["status"], of_run(run)) == ("interrupted", [])
    saved = results(run)["train"]["steps"]

    process = start(probe[0], f"run={run}", "train")
    while results(run)["train"]["steps"] == saved:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while of_run(run):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("before", "after"), [pytest.param("cpu", "ddp_cpu", marks=pytest.mark.slow), ("ddp_cpu", "cpu")]
)
def test_another_number_of_processes_resumes_approximately(
    before: str,
    after: str,
    both: Path,
    probe: list[str],
    dgmrun: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Path(shutil.copytree(both / before, tmp_path / "run"))
    longer = (probe[0], "train", f"run={run}", f"device={after}", "trainer.max_steps=24")
    assert dgmrun(*longer) == 2
    capsys.readouterr()
    assert dgmrun(*longer, "resume=approximate") == 0
    assert "start anew" in capsys.readouterr().err + (run / "run.log").read_text()
    train = results(run)["train"]
    assert (train["steps"], train["processes"]) == (24, 2 if after == "ddp_cpu" else 1)
    assert [entry["step"] for entry in train["history"]] == [12]


@pytest.mark.slow
def test_a_signal_to_all_processes_saves(probe: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*probe, "trainer.max_steps=1000000", "device=ddp_cpu", "train", f"hydra.run.dir={run}")
    started(run, process)
    for one in {process.pid, *of_run(run)}:
        os.kill(one, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "all is saved" in errors


@pytest.mark.slow
def test_a_signal_to_real_ranks_that_are_starting_is_an_interrupt(probe: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*probe, "device=ddp_cpu", "train", f"hydra.run.dir={run}")
    while len(of_run(run)) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert results(run)["status"] == "interrupted"
    assert of_run(run) == []


def test_what_another_launcher_left_makes_no_part_of_something(
    probe: list[str],
    dgmrun: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for key, value in {"NODE_RANK": "1", "LOCAL_RANK": "7", "WORLD_SIZE": "9", "RANK": "x"}.items():
        monkeypatch.setenv(key, value)
    assert dgmrun(*probe, "train", "log_z", "hydra.run.dir=run") == 0
    assert results(tmp_path / "run")["status"] == "done"
    assert "log_z.exact" in capsys.readouterr().err


def test_ranks_that_never_end_are_not_waited_for_beyond_a_limit() -> None:
    rank: Any = SimpleNamespace(process=SimpleNamespace(poll=lambda: None))
    start = time.monotonic()
    processes._wait([rank], longest=0.2)
    assert 0.2 <= time.monotonic() - start < 5
