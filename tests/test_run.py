"""A run directory belongs to one run, whoever else wants it and whenever its making is cut off."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dgmrun.errors import Mistake
from dgmrun.run.directory import Run, fingerprint
from dgmrun.stages import finish, unfinished

CONFIG: dict[str, Any] = {"stages": ["train", "log_z"], "trainer": {"max_steps": 3}, "log_z": {"methods": "auto"}}
TINY = (
    "model=rbm dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4 "
    "model.hidden=3 trainer.max_steps=3"
).split()


def test_of_many_that_want_a_directory_one_gets_it(tmp_path: Path) -> None:
    def create(number: int) -> int | None:
        try:
            Run.create(tmp_path / "a" / "run", CONFIG | {"seed": number}, {"seed": number})
        except Mistake:
            return None
        return number

    with ThreadPoolExecutor(16) as pool:
        (winner,) = {number for number in pool.map(create, range(16)) if number is not None}
    run = Run.open(tmp_path / "a" / "run")
    assert run.config["seed"] == run.results["seed"] == winner


def test_of_two_commands_that_start_together_one_gets_the_directory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dgmrun", *TINY, "stages=[]", f"hydra.run.dir={tmp_path / 'run'}"]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=100)[1] for process in started]
    assert sorted(process.returncode for process in started) == [0, 2], errors
    assert "must be a directory without a run" in "".join(errors)


@pytest.mark.parametrize("write", [0, 1])
def test_a_directory_whose_making_was_cut_off_can_be_claimed(
    write: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, count = os.replace, iter(range(9))

    def dies(source: Any, destination: Any) -> None:
        if next(count) == write:
            raise KeyboardInterrupt
        rename(source, destination)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            Run.create(tmp_path, CONFIG, {"status": "running"})
    assert not Run(tmp_path).is_claimed
    assert Run.create(tmp_path, CONFIG, {"status": "running"}).results["status"] == "running"


def test_a_prepared_run_is_claimed_by_whoever_takes_it_up(tmp_path: Path) -> None:
    run = Run.prepare(tmp_path, CONFIG | {"sweep": {"jobs": 2}, "data_dir": "/secret"})
    assert (run.config, run.results, run.is_claimed) == (CONFIG, {}, False)
    Run.create(tmp_path, run.config | {"seed": 1}, {})
    assert Run.prepare(tmp_path, CONFIG).config["seed"] == 1


def test_a_stage_is_finished_for_its_weights_and_settings_alone(tmp_path: Path) -> None:
    run = Run.create(tmp_path, CONFIG, {})
    assert unfinished(run, CONFIG) == ["train", "log_z"]
    (tmp_path / "weights.safetensors").write_bytes(b"1")
    finish(run, "train", CONFIG)
    assert unfinished(run, CONFIG) == ["train", "log_z"], "the training was not complete"
    run.merge({"train": {"complete": True}})
    assert unfinished(run, CONFIG) == ["log_z"]
    finish(run, "log_z", CONFIG)
    assert unfinished(run, CONFIG) == []
    assert unfinished(run, CONFIG | {"log_z": {"methods": "exact"}}) == ["log_z"]
    assert unfinished(run, CONFIG | {"trainer": {"max_steps": 4}}) == ["train"]
    (tmp_path / "weights.safetensors").write_bytes(b"2")
    assert unfinished(run, CONFIG) == ["train", "log_z"]


def test_a_fingerprint_is_of_what_a_path_names(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG, {})
    with pytest.raises(Mistake, match="there is none"):
        fingerprint(run.path)
    (run.path / "weights.safetensors").write_bytes(b"1")
    (tmp_path / "file").write_bytes(b"1")
    assert fingerprint(run.path) == fingerprint(tmp_path / "file")


def test_a_fingerprint_of_a_folder_is_of_names_and_contents(tmp_path: Path) -> None:
    for name, content in {"a": b"1", "b": b"1", "c": b"2", "d": b"1"}.items():
        (tmp_path / name / "train").mkdir(parents=True)
        (tmp_path / name / "train" / ("y.png" if name == "d" else "x.png")).write_bytes(content)
    of_a, of_b, of_c, of_d = (fingerprint(tmp_path / name) for name in "abcd")
    assert of_a == of_b
    assert len({of_a, of_c, of_d}) == 3


def test_a_link_to_a_run_stands_for_it(dgmrun: Callable[..., int], tmp_path: Path, capsys: Any) -> None:
    for link, folder in {"at": "run", "latest": "run"}.items():
        (tmp_path / link).symlink_to(folder)
    assert dgmrun(*TINY, "train", "hydra.run.dir=at") == 0
    assert dgmrun("log_z", "log_z.methods=[exact]", "run=latest") == 0
    run = Run.open(tmp_path / "run")
    assert run.results["log_z"]["exact"]["of"]["run"] == str(run.path) == str(tmp_path / "run")
    capsys.readouterr()
    assert dgmrun("compare", "latest", "run", "--csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2, "one run beneath the heading"
