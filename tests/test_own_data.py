"""The user's own numbers through the command line: what they are taken for, and cures that cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from dgmrun import load as trained
from dgmrun.errors import Mistake
from dgmrun.run.directory import Run
from dgmrun.workbench.setup import Setup

Command = Callable[..., int]
SHORT = ("trainer.max_steps=2", "trainer.validate_every_n_steps=2", "hydra.run.dir=run")
FILE = ("dataset=file", "dataset.path=x.npy")
RNG = np.random.default_rng(0)


def config() -> dict[str, dict[str, object]]:
    loaded: dict[str, dict[str, object]] = yaml.safe_load(Path("run/config.yaml").read_text())
    return loaded


@pytest.mark.parametrize(
    ("x", "kind", "transform"),
    [
        (RNG.integers(18, 80, (300, 2)), "counts", "jitter"),
        (RNG.integers(0, 256, (300, 2), dtype=np.uint8), "counts", "jitter"),
        (RNG.integers(0, 256, (300, 4, 4), dtype=np.uint8), "unit", "dequantise"),
        (RNG.normal(size=(300, 2)), "real", "none"),
    ],
)
def test_a_density_of_whole_numbers_is_one_of_noise_within_them(
    x: np.ndarray, kind: str, transform: str, dgmrun: Command, tmp_path: Path
) -> None:
    np.save("x.npy", x)
    vae = ("model=vae", "model.hidden=[4]", "model.latent=[2]", "model.depth=1")
    assert dgmrun(*vae, *FILE, *SHORT, "train", "likelihood") == 0
    dataset = config()["dataset"]
    assert (dataset["event"], dataset["transform"]) == ({"shape": [*x.shape[1:]], "kind": kind}, transform)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        ("model=rbm", RNG.integers(0, 256, (100, 16), dtype=np.uint8)),
        ("model=rbm", RNG.integers(0, 256, (100, 4, 4), dtype=np.uint8)),
        ("model=rbm", RNG.random((100, 16))),
        ("model=gaussian", RNG.integers(0, 256, (100, 4), dtype=np.uint8)),
        ("model=made", RNG.integers(0, 17, (100, 4))),
    ],
)
def test_the_cure_that_a_refusal_names_cures(
    model: str, x: np.ndarray, dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", x)
    assert dgmrun(model, *FILE, *SHORT, "train", "dataset.transform=none") == 2
    cure = capsys.readouterr().err.partition(": dataset.")[2].rpartition(" makes it ")[0]
    cure = cure.split(", or dataset.")[-1]
    assert dgmrun(model, *FILE, *SHORT, "train", *f"dataset.{cure}".split()) == 0


@pytest.mark.parametrize(("label", "shape"), [("[a,b]", [2]), ("[0,1]", [2]), ("[b]", [1]), ("b", [])])
def test_labels_may_be_one_column_or_several(label: str, shape: list[int], dgmrun: Command) -> None:
    np.savetxt("x.csv", RNG.integers(0, 2, (60, 4)), "%d", ",", header="a,b,c,d", comments="")
    assert dgmrun("model=rbm", "dataset=file", "dataset.path=x.csv", f"dataset.label={label}", *SHORT, "train") == 0
    assert config()["dataset"]["event"] == {"shape": [4 - sum(shape or [1])], "kind": "binary"}
    assert config()["dataset"]["labels"]["shape"] == shape


def test_too_few_examples_for_a_method_are_told_before_training(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", RNG.normal(size=(200, 2)))
    command = ("model=gaussian", *FILE, *SHORT, "train", "fidelity", "fidelity.methods=[ratio]")
    assert dgmrun(*command) == 2
    cure = capsys.readouterr().err.strip().splitlines()[-1].removeprefix("hint: ")
    assert not Path("run").exists()
    assert dgmrun(*command, cure) == 0
    assert json.loads(Path("run/results.json").read_text())["fidelity"]["ratio@train"]["examples"] == 160


def test_more_training_says_what_renews_the_figures(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", RNG.normal(size=(100, 2)))
    assert dgmrun("model=gaussian", *FILE, *SHORT, "train", "likelihood") == 0
    assert "stale" not in capsys.readouterr().err
    assert dgmrun("train", "run=run", "trainer.max_steps=4") == 0
    said = capsys.readouterr().err
    (command,) = [line for line in said.splitlines() if line.startswith("next ")]
    assert "\n\n\n" not in said
    assert dgmrun("compare", ".") == 0
    assert "run: its likelihood is stale: `dgmrun likelihood run=run` renews it" in capsys.readouterr().out
    assert dgmrun(*command.split()[2:]) == 0
    assert "stale" not in capsys.readouterr().err
    assert dgmrun("compare", ".") == 0
    assert "Not ranked" not in capsys.readouterr().out


def test_one_example_of_validation_has_no_error(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", RNG.normal(size=(10, 2)))
    assert dgmrun("model=gaussian", *FILE, *SHORT, "train") == 0
    said = capsys.readouterr().err
    assert "+- ? nats" in said
    assert "nan" not in said


def test_doubts_are_told_once_and_kept(dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    column = RNG.normal(size=(300, 1))
    np.save("x.npy", np.hstack([column, column, RNG.normal(size=(300, 1))]))
    doubt = "train lies in 2 of 3 dimensions: a density can grow without bound"
    assert dgmrun("model=gaussian", *FILE, *SHORT, "train") == 0
    assert capsys.readouterr().err.count(f"warning: {doubt}") == 1
    assert json.loads(Path("run/results.json").read_text())["dataset"]["doubts"] == [doubt]
    assert dgmrun("compare", ".") == 0
    assert " ".join(capsys.readouterr().out.split()).count(f"Warning of the data of run: {doubt}") == 1


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_an_evaluation_that_ends_badly_leaves_a_completed_training_done(
    end: type[BaseException], dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("x.npy", RNG.normal(size=(100, 2)))
    assert dgmrun("model=gaussian", *FILE, *SHORT, "train") == 0

    def ends(*args: object) -> None:
        assert json.loads(Path("run/results.json").read_text())["status"] == "done"
        raise end("so")

    with monkeypatch.context() as patch:
        patch.setattr("dgmrun.stages.likelihood.main", ends)
        if end is RuntimeError:
            with pytest.raises(end):
                dgmrun("likelihood", "run=run")
        else:
            assert dgmrun("likelihood", "run=run") == 130
    assert json.loads(Path("run/results.json").read_text())["status"] == "done"
    assert dgmrun("likelihood", "run=run") == 0


def test_weights_that_were_removed_are_said_to_be_and_written_anew(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", RNG.normal(size=(100, 2)))
    assert dgmrun("model=gaussian", *FILE, *SHORT, "train") == 0
    before = Path("run/weights.safetensors").read_bytes()
    Path("run/weights.safetensors").unlink()
    assert dgmrun("likelihood", "run=run") == 2
    assert "weights.safetensors was removed" in capsys.readouterr().err
    assert dgmrun("train", "run=run") == 0
    assert Path("run/weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("off", ["optimizer.lr=0", "optimizer.clip_norm=1e-300"])
def test_what_trains_nothing_is_told(
    off: str, dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", RNG.normal(size=(100, 2)))
    assert dgmrun("model=gaussian", *FILE, *SHORT, "train", off) == 0
    assert "no parameter has moved" in capsys.readouterr().err


def test_labels_of_a_table_are_given_by_their_words(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = zip(RNG.integers(2, size=(100, 2)).tolist(), ["setosa", "virginica"] * 50, strict=True)
    Path("iris.csv").write_text("long,wide,species\n" + "".join(f"{a},{b},{word}\n" for (a, b), word in pairs))
    nade = ("model=nade", "model.hidden=3", "given=labels")
    data = ("dataset=file", "dataset.path=iris.csv", "dataset.label=species")
    words = ("train", "fidelity", "fidelity.methods=[accuracy]", "sample", "sample.given=[virginica,setosa]")
    assert dgmrun(*nade, *data, *SHORT, *words, "sample.count=4") == 0
    assert config()["dataset"]["labels"] == {"shape": [], "kind": "categorical", "size": 2}
    assert json.loads(Path("run/results.json").read_text())["dataset"]["classes"] == ["setosa", "virginica"]
    assert "rows        virginica, setosa\n" in capsys.readouterr().err
    drawn, run = np.load("run/samples.npz", allow_pickle=False), trained("run")
    assert drawn["given"].tolist() == [1, 1, 0, 0]
    labels = run.labels()
    assert labels is not None
    alike = torch.cat([run.data()[labels == one][:2] for one in (1, 0)])
    assert drawn["data"].tolist() == run.data()[:4].tolist(), "the first examples of the test split"
    assert drawn["alike"].tolist() == alike.tolist(), "examples of the same classes"
    each = torch.stack([run.log_prob(run.data(), given=torch.full_like(labels, one)).log_prob for one in (0, 1)], 1)
    prior = torch.bincount(run.labels("train")).double().log()  # type: ignore[arg-type]
    hits = (each + prior).argmax(1).eq(labels)
    (accuracy,) = (row["value"] for row in run.results if row["figure"] == "fidelity.accuracy")
    assert accuracy == pytest.approx(float(hits.double().mean()))
    assert dgmrun("sample", "run=run", "sample.given=[rose]") == 2
    assert "classes from 0 to 1 or of setosa, virginica, but is ['rose']" in capsys.readouterr().err


def test_a_bit_is_classified_by_a_model_of_attributes_given_it(dgmrun: Command, tmp_path: Path) -> None:
    x = RNG.integers(2, size=(100, 1))
    np.savez("own.npz", x=x, y=np.hstack([x, 1 - x, x]))
    data = ("dataset=file", "dataset.path=own.npz", "dataset.label_kind=binary", "given=x")
    command = ("train", "fidelity", "fidelity.methods=[accuracy]", "hydra.run.dir=run")
    assert dgmrun("model=nade", "model.hidden=3", "trainer.max_steps=200", *data, *command) == 0
    counts = Setup(Run.open("run").config).class_counts
    assert counts is not None
    assert counts.tolist() == torch.bincount(trained("run").data("train").flatten().long()).tolist()
    (accuracy,) = (row["value"] for row in trained("run").results if row["figure"] == "fidelity.accuracy")
    assert accuracy == 1, "the attributes tell it"


def test_captions_are_trained_on_resumed_scored_and_sampled_from(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = RNG.integers(2, size=(100, 4)), RNG.integers(1, 6, size=(100, 3))
    y[::2, 2] = 0
    np.savez("own.npz", x=x, y=y)
    np.savez("longer.npz", x=x, y=np.pad(y, ((0, 0), (0, 1))))
    np.savez("larger.npz", x=x, y=np.where(y > 4, 9, y))
    data = ("dataset=file", "dataset.path=own.npz", "given=labels", "dataset.batch_size=8")
    nade = ("model=nade", "model.hidden=3", "optimizer=adam", "optimizer.ema=0.9", *data, "train")
    assert dgmrun(*nade, "trainer.max_steps=4", "likelihood", "sample", "hydra.run.dir=whole") == 0
    assert dgmrun(*nade, "trainer.max_steps=2", "hydra.run.dir=cut") == 0
    assert dgmrun("train", "run=cut", "trainer.max_steps=4") == 0
    whole, cut = (load_file(f"{run}/weights.safetensors") for run in ("whole", "cut"))
    assert "vector.caption.words.weight" in whole
    assert all(torch.equal(whole[key], cut[key]) for key in whole)
    run = trained("whole")
    drawn = np.load("whole/samples.npz", allow_pickle=False)
    labels = run.labels()
    assert labels is not None
    assert torch.equal(torch.from_numpy(drawn["given"][:10]), labels), "those of the test split, in order"
    assert torch.equal(torch.from_numpy(drawn["data"]), run.data().to(torch.uint8))
    assert run.log_prob().mean.value == pytest.approx(run.log_prob(run.data(), given=labels).mean.value)
    assert torch.equal(run.sample(4, given=labels[:2]), run.sample(4, given=[[*row] for row in labels[:2].tolist()]))
    capsys.readouterr()
    for file, said in (("longer", "`dataset.labels.shape` must be [4]"), ("larger", "split, such as 9, but is tokens")):
        assert dgmrun("likelihood", "run=whole", f"dataset.path={tmp_path / file}.npz") == 2
        error = capsys.readouterr().err
        assert said in error
        assert "hint: dataset.path=FILE, with data of the shapes and values of those that the run was trained" in error
    with pytest.raises(Mistake, match="`given` must hold tokens values, 0 to 5"):
        run.log_prob(run.data(), given=labels + 5)
    assert dgmrun("model=gan", "dataset=file", "dataset.path=own.npz", "dataset.label=null", "given=labels") == 2
    assert "`dataset` must have labels" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["", "dataset.binarisation=threshold"])
def test_grey_levels_in_text_are_binarised_as_the_messages_say(
    wrong: str, dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("flat.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in RNG.integers(0, 256, (50, 16))))
    command = ("model=rbm", "model.hidden=3", "dataset=file", "dataset.path=flat.csv", *SHORT, "train")
    assert dgmrun(*command, *wrong.split()) == 2
    cure = "dataset.kind=unit dataset.binarisation=threshold"
    assert cure in capsys.readouterr().err
    assert dgmrun(*command, *cure.split()) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        ("model=rbm", "model.hidden=3", "log_z.ais.num_temperatures=10"),
        ("model=vae", "model.hidden=[4]", "model.latent=[2]", "model.depth=1", "likelihood.importance.num_samples=9"),
    ],
)
@pytest.mark.parametrize("shape", [(1,), (2,), (1, 1), (1, 40), (1, 1, 1), (3, 1, 1), (3, 5, 4), (5, 6, 6), (300,)])
def test_no_shape_ends_a_stage_by_a_picture(
    shape: tuple[int, ...], model: tuple[str, ...], dgmrun: Command, tmp_path: Path
) -> None:
    np.save("x.npy", RNG.normal(size=(40, *shape)) > 0)
    layout = "dataset.layout=channels_first" if len(shape) == 3 else "dataset.layout=null"
    assert dgmrun(*model, *FILE, layout, *SHORT, "train", "likelihood", "sample") == 0


def test_pictures_want_a_channel_and_dark_ones_are_doubted(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = RNG.integers(0, 17, (100, 6, 5))
    np.save("x.npy", x)
    grey = ("dataset.kind=unit", "dataset.binarisation=threshold", "dataset.transform=none")
    command = ("model=pixelcnn", "model.channels=2", "model.layers=0", *FILE, *SHORT, *grey, "train")
    assert dgmrun(*command) == 2
    assert "x[:, None]" in capsys.readouterr().err
    np.save("x.npy", x[:, None])
    assert dgmrun(*command) == 0
    assert config()["dataset"]["event"] == {"shape": [1, 6, 5], "kind": "unit"}
    assert "all values of train are 0" in capsys.readouterr().err
