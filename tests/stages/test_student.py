"""A student and its teacher, through the command line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import yaml

from dgmrun.cli import main
from dgmrun.run.metrics import curves

Command = Callable[..., int]
STUDENT = (
    "model=nade model.hidden=4 objective=distill_kl trainer.max_steps=30 trainer.validate_every_n_steps=30 "
    "objective.stream.num_chains=8 objective.stream.burn_in=3"
).split()
FEW = [
    f"log_z.{method}.{key}"
    for method in ("importance", "bridge")
    for key in ("num_samples=400", "num_chains=40", "burn_in=10", "thin=1")
]


def results(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "results.json").read_text())
    return content


@pytest.fixture(scope="session")
def lessons(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `trained` with a teacher and its student, on its dataset, unasked; in `scored` they have a log Z."""
    folder = tmp_path_factory.mktemp("lessons")
    for name, *words in (("trained", "train"), ("scored", "train", "log_z")):
        shutil.copytree(teacher, folder / name / "teacher")
        given = (f"objective.teacher={folder / name / 'teacher'}", f"hydra.run.dir={folder / name / 'student'}")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["dgmrun", *STUDENT, *FEW, *given, *words])
            assert main() == 0
    return folder


def moved(lesson: Path, to: Path) -> Path:
    """A copy of a teacher and its student, to be written to, which know each other by their new places."""
    for name in ("teacher", "student"):
        shutil.copytree(lesson / name, to / name)
        for file in (to / name / "config.yaml", to / name / "results.json"):
            file.write_text(file.read_text().replace(str(lesson), str(to)))
    return to / "student"


@pytest.fixture
def student(lessons: Path, tmp_path: Path) -> Path:
    """A student of the teacher."""
    return moved(lessons / "trained", tmp_path)


@pytest.fixture
def scored(lessons: Path, tmp_path: Path) -> Path:
    """A student that has measured its teacher."""
    return moved(lessons / "scored", tmp_path)


@pytest.fixture
def tutor(teacher: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """That of the student, or a copy; to be written to."""
    student = next((name for name in ("student", "scored") if name in request.fixturenames), None)
    if student is not None:
        request.getfixturevalue(student)
        return tmp_path / "teacher"
    return Path(shutil.copytree(teacher, tmp_path / "teacher"))


def test_no_row_of_the_data_was_trained_on(student: Path, tutor: Path) -> None:
    of_student, of_tutor = (curves(run).keys() for run in (student, tutor))
    assert "valid/nll" in of_student & of_tutor
    assert of_tutor - of_student >= {"valid/gap"}, "none to have learned by heart"


def test_a_student_has_its_teachers_dataset_and_names_it(student: Path, tutor: Path) -> None:
    mine, its = (yaml.safe_load((run / "config.yaml").read_text()) for run in (student, tutor))
    assert mine["dataset"] == its["dataset"]
    assert mine["choices"]["dataset"] == "bars_and_stripes"
    (given,) = results(student)["inputs"]
    assert (given["run"], given["role"]) == (str(tutor), "teacher")
    assert results(student)["train"]["epochs"] is None
    assert results(student)["train"]["examples"] == 30 * 4


def test_a_dataset_that_is_given_is_kept(tutor: Path, dgmrun: Command, tmp_path: Path) -> None:
    words = "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=2".split()
    assert dgmrun(*STUDENT, *words, f"objective.teacher={tutor}", "hydra.run.dir=b") == 0
    assert yaml.safe_load((tmp_path / "b" / "config.yaml").read_text())["dataset"]["batch_size"] == 2


def test_log_z_of_a_student_is_its_teachers_and_is_written_to_both(student: Path, tutor: Path, dgmrun: Command) -> None:
    assert dgmrun("log_z", f"run={student}", *FEW) == 0
    assert results(student)["log_z"].keys() == {"importance", "bridge"}
    for method, entry in results(student)["log_z"].items():
        assert results(tutor)["log_z"][method] == entry
        assert (entry["of"]["run"], entry["proposal"]["run"]) == (str(tutor), str(student))
    truth = results(tutor)["log_z"]["exact"]["value"]
    bridge = results(student)["log_z"]["bridge"]
    assert abs(bridge["value"] - truth) < 4 * bridge["standard_error"]
    assert numpy.load(student / "proposal.npz")["log_f_of_p"].shape == (2, 20, 10)


def test_log_z_through_a_proposal_is_the_same_from_the_other_side(scored: Path, tutor: Path, dgmrun: Command) -> None:
    first = results(scored)["log_z"]["bridge"]
    assert (
        dgmrun("log_z", "likelihood", f"run={tutor}", f"log_z.proposal={scored}", "log_z.methods=[bridge]", *FEW) == 0
    )
    again = results(scored)["log_z"]["bridge"]
    assert again | {"seconds": 0} == first | {"seconds": 0}
    assert results(tutor)["likelihood"]["bridge"]["diagnostics"]["log_z"] == first["value"]


def test_a_stored_bridge_serves_a_likelihood_without_its_proposal(
    scored: Path, tutor: Path, dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun("likelihood", f"run={tutor}", "likelihood.methods=[bridge]", *FEW) == 0
    assert dgmrun("likelihood", f"run={tutor}", "likelihood.methods=[bridge]") == 2
    assert "`log_z.proposal` must be given" in capsys.readouterr().err


def test_compare_knows_whose_figure_a_student_has(
    scored: Path, dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert dgmrun("compare", str(scored), "--runs") == 0
    said = capsys.readouterr().out
    assert "of another" in said
    assert "stale" not in said.replace("stale: of other", "")


def test_a_tractable_model_can_teach(student: Path, dgmrun: Command, tmp_path: Path) -> None:
    words = (*STUDENT, "objective=distill_se", "objective.offset=teacher", f"objective.teacher={student}")
    assert dgmrun(*words, "train", "likelihood", "sample", "hydra.run.dir=pupil") == 0
    assert numpy.load(tmp_path / "pupil" / "samples.npz")["teacher"].shape == (64, 1, 2, 2)
    assert dgmrun("log_z", "run=pupil") == 2


def test_a_run_cannot_be_its_own_teacher(student: Path, dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load((student / "config.yaml").read_text())
    config["objective"]["teacher"] = str(student)
    (student / "config.yaml").write_text(yaml.safe_dump(config))
    assert dgmrun("train", f"run={student}", "trainer.max_steps=40") == 2
    assert "`objective.teacher` must be another run" in capsys.readouterr().err


def test_training_goes_on_only_with_the_teacher_that_it_began_with(
    student: Path, tutor: Path, dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun("train", f"run={tutor}", "trainer.max_steps=60") == 0
    assert dgmrun("train", f"run={student}", "trainer.max_steps=40") == 2
    assert "`objective.teacher` must be what it was" in capsys.readouterr().err


def test_a_teacher_at_work_can_still_be_asked(student: Path, tutor: Path, dgmrun: Command) -> None:
    (tutor / "results.json").write_text(json.dumps(results(tutor) | {"status": "running"}))
    assert dgmrun("train", "sample", f"run={student}", "trainer.max_steps=40") == 0


def test_the_proposal_that_is_named_is_used(scored: Path, tutor: Path, dgmrun: Command) -> None:
    assert dgmrun(*STUDENT, "seed=1", f"objective.teacher={tutor}", "train", "hydra.run.dir=b") == 0
    words = ("likelihood", f"run={tutor}", "likelihood.methods=[bridge]", *FEW)
    assert dgmrun(*words, "log_z.proposal=b") == 0
    assert results(tutor)["log_z"]["bridge"]["proposal"]["run"] == str(Path("b").absolute())
    assert "bridge" in results(Path("b"))["log_z"]


def test_a_student_keeps_the_figures_of_its_own_teacher(
    scored: Path, tutor: Path, dgmrun: Command, tmp_path: Path
) -> None:
    mine = results(scored)["log_z"]
    data = [f"dataset.{key}" for key in ("side=2", "event.shape=[1,2,2]", "batch_size=4")]
    words = ("model=rbm", "model.hidden=2", "dataset=bars_and_stripes", *data, "trainer.max_steps=30")
    assert dgmrun(*words, "train", "log_z", f"log_z.proposal={scored}", *FEW, "hydra.run.dir=another") == 0
    assert results(scored)["log_z"] == mine
    assert results(tmp_path / "another")["log_z"]["bridge"]["proposal"]["run"] == str(scored)


@pytest.mark.parametrize("offset", ["batch", "learned"])
def test_offsets_are_resumed_to_the_bit(offset: str, tutor: Path, dgmrun: Command, tmp_path: Path) -> None:
    words = (*STUDENT, "objective=distill_se", f"objective.teacher={tutor}", f"objective.offset={offset}", "train")
    assert dgmrun(*words, "hydra.run.dir=whole") == 0
    assert dgmrun(*words, "trainer.max_steps=17", "hydra.run.dir=cut") == 0
    assert dgmrun("train", "run=cut", "trainer.max_steps=30") == 0
    whole, cut = (
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True) for run in ("whole", "cut")
    )
    assert torch.equal(whole["state_dict"]["offset.c"], cut["state_dict"]["offset.c"])
    assert torch.equal(whole["state_dict"]["model.weight"], cut["state_dict"]["model.weight"])


MUTE = """
from torch import nn, zeros
class Mute(nn.Module):
    def __init__(self, event):
        super().__init__()
        self.event, self.bias = event, nn.Parameter(zeros(3))
    def log_prob(self, x, context=None):
        return x.flatten(1).sum(1) * 0 - self.bias.sum()
"""


def test_a_teacher_must_have_a_sampler(
    dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "muting.py").write_text(MUTE)
    (tmp_path / "mine" / "model" / "mute.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /objective: mle\nmodel:\n  _target_: muting.Mute\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "mine")
    numpy.savez(tmp_path / "bias.npz", bias=numpy.zeros(3))
    assert dgmrun("--config-dir=mine", "model=mute", "weights=bias.npz", "stages=[]", "hydra.run.dir=mute") == 0
    assert dgmrun("--config-dir=mine", *STUDENT, "objective.teacher=mute") == 2
    assert "`objective.teacher` must be a run whose model can be sampled" in capsys.readouterr().err
    assert dgmrun(*STUDENT, "objective.teacher=mute") == 2
    assert "`model._target_`" in capsys.readouterr().err


def test_offsets_above_log_z_are_told(tutor: Path, dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*STUDENT, "objective=distill_se", f"objective.teacher={tutor}", "train")
    assert dgmrun(*words, "objective.offset=batch", "hydra.run.dir=batch") == 0
    assert "upper end of the teacher's log Z" in capsys.readouterr().err
    (said,) = results(Path("batch"))["train"]["warnings"]
    assert "log Z + KL(p||q)" in said
    assert dgmrun(*words, "hydra.run.dir=published") == 0
    assert results(Path("published"))["train"]["warnings"] == []
