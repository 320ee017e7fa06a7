"""What the evaluation of a teacher and its student draws, and that TensorBoard shows it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dgmrun.pictures import drawing
from dgmrun.pictures.grid import pixels
from dgmrun.report.hparams import write
from dgmrun.run.directory import Run

Command = Callable[..., int]
pytestmark = pytest.mark.drawn
DATA = "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4"
CHAINS = "num_samples=40 num_chains=20 burn_in=3 thin=1".split()
TINY = [
    *DATA.split(),
    *"model.hidden=3 trainer.max_steps=3 sample.count=5 log_z.ais.num_temperatures=20".split(),
    *(f"log_z.{method}.{setting}" for method in ("bridge", "importance") for setting in CHAINS),
]
ON_A_RUN = [word for word in TINY if not word.startswith(("dataset", "model"))]


def student_of(teacher: Path) -> list[str]:
    stream = "objective.stream.num_chains=8 objective.stream.burn_in=3".split()
    return ["model=nade", "objective=distill_kl", f"objective.teacher={teacher}", *stream, *TINY]


@pytest.fixture
def pair(dgmrun: Command, teacher: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A teacher and its student, which has measured it."""
    shutil.copytree(teacher, tmp_path / "teacher")
    assert dgmrun(*student_of(tmp_path / "teacher"), "train", "log_z", "sample", "hydra.run.dir=student") == 0
    return tmp_path / "teacher", tmp_path / "student"


def pictures(run: Path) -> set[str]:
    trained = {"filters", "output_filters", "activity", "chains", "curve"}
    return {file.stem for file in (run / "figures").iterdir()} - trained


def shown(run: Path) -> dict[str, list[tuple[int, bytes]]]:
    """By tag, the step and the file of every picture of an evaluation, as TensorBoard reads them."""
    events = EventAccumulator(str(run), size_guidance={"images": 0}).Reload()
    tags = [tag for tag in events.Tags()["images"] if not tag.startswith("train/")]
    return {tag: [(event.step, event.encoded_image_string) for event in events.Images(tag)] for tag in tags}


def test_both_runs_have_the_pictures(pair: tuple[Path, Path]) -> None:
    teacher, student = pair
    assert pictures(teacher) == {"log_z", "proposal"}
    assert pictures(student) == {"log_z", "proposal", "samples", "means", "features"}
    found = shown(student)
    assert set(found) == {"log_z/log_z", "log_z/proposal", "sample/samples", "sample/means", "sample/features"}
    for tag, entries in found.items():
        ((step, content),) = entries
        assert step == 3
        assert hash(content) == hash((student / "figures" / f"{tag.split('/')[1]}.png").read_bytes()), tag
    assert [step for step, _ in shown(teacher)["log_z/proposal"]] == [50]
    with Image.open(io.BytesIO(found["sample/samples"][0][1])) as picture:
        assert picture.width > picture.height


def test_a_second_evaluation_takes_the_place_of_the_first(dgmrun: Command, pair: tuple[Path, Path]) -> None:
    _, student = pair
    before = shown(student)
    again = ["log_z", "sample", f"run={student}", *ON_A_RUN, "log_z.bridge.num_samples=60"]
    assert dgmrun(*again) == 0
    after = shown(student)
    assert {tag: len(entries) for tag, entries in after.items()} == dict.fromkeys(before, 1)
    assert after["log_z/log_z"] != before["log_z/log_z"]
    assert after["sample/samples"] == before["sample/samples"]
    assert "log_z/bridge" not in EventAccumulator(str(student)).Reload().Tags()["scalars"], "it is no curve"


def test_a_longer_training_keeps_the_pictures_of_the_shorter(dgmrun: Command, pair: tuple[Path, Path]) -> None:
    _, student = pair
    words = [word for word in ON_A_RUN if "max_steps" not in word]
    assert dgmrun("train", "log_z", f"run={student}", *words, "trainer.max_steps=6") == 0
    assert [step for step, _ in shown(student)["log_z/log_z"]] == [3, 6]


def test_pictures_alone_are_no_figures(dgmrun: Command, teacher: Path, tmp_path: Path) -> None:
    assert dgmrun("model=rbm", *TINY, f"weights={teacher}", "sample", "hydra.run.dir=a") == 0
    write(run := Run.open(tmp_path / "a"))
    assert not list(run.path.glob("*hparams"))
    assert [step for step, _ in shown(run.path)["sample/samples"]] == [0]


def test_data_stand_upright_beside_both_models(
    dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, Figure] = {}
    put = drawing.write

    def keep(run: Run, stage: str, figures: dict[str, drawing.Picture], formats: list[str]) -> None:
        kept.update(figures)
        put(run, stage, figures, formats)

    monkeypatch.setattr(drawing, "write", keep)
    column = "dataset.pixel_order=column"
    assert dgmrun("model=rbm", column, *TINY, "train", "log_z", "sample", "hydra.run.dir=t") == 0
    assert [axes.get_title() for axes in kept["samples"].axes] == ["data", "samples"]
    assert dgmrun(*student_of(tmp_path / "t"), column, "train", "sample", "hydra.run.dir=s") == 0
    assert [axes.get_title() for axes in kept["samples"].axes] == ["data", "teacher", "student"]
    with np.load(tmp_path / "s" / "samples.npz", allow_pickle=False) as held:
        for axes, name in zip(kept["samples"].axes, ("data", "teacher", "x"), strict=True):
            assert np.array_equal(axes.images[0].get_array(), pixels(held[name].swapaxes(-1, -2)))
    assert [axes.images[0].get_array().shape for axes in kept["features"].axes] == [(7, 7), (7, 7)]


def test_a_model_without_filters_has_samples_alone(dgmrun: Command, tmp_path: Path) -> None:
    ising = [word for word in TINY if not word.startswith("model")]
    assert dgmrun("model=ising", "objective=pcd", *ising, "train", "log_z", "sample", "hydra.run.dir=t") == 0
    assert dgmrun(*student_of(tmp_path / "t"), "train", "sample", "hydra.run.dir=s") == 0
    assert pictures(tmp_path / "s") == {"samples", "means"}
