"""Runs from Python: the same figures as from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import dgmrun as package
from dgmrun.errors import Mistake
from tests.conftest import BINARY, Command

SHORT = ("trainer.max_steps=3", "trainer.validate_every_n_steps=3", "dataset.batch_size=10")
COUNTS = numpy.random.default_rng(0).poisson(3.0, (60, 4))
GREY = numpy.random.default_rng(1).integers(0, 256, (60, 1, 2, 2), numpy.uint8)
NUMBERS = 1e6 + numpy.random.default_rng(2).normal(size=(60, 4)) * [1, 10, 100, 1000]
VAE = ("model=vae", "model.hidden=[3]", "model.latent=[2]", "likelihood.importance.num_samples=9")
WAYS = {
    "bits": (GREY > 99, "model=nade", "model.hidden=3"),
    "threshold": (GREY, "model=nade", "model.hidden=3", "dataset.binarisation=threshold"),
    "dynamic": (GREY, "model=nade", "model.hidden=3", "dataset.binarisation=dynamic"),
    "levels": (GREY, *VAE),
    "dequantise": (GREY, *VAE, "dataset.transform=dequantise"),
    "logit": (GREY, "model=gaussian", "dataset.transform=logit"),
    "jitter": (COUNTS, "model=gaussian", "dataset.transform=jitter"),
    "standardise": (NUMBERS, "model=gaussian", "dataset.transform=standardise"),
}
"""Data, and words that make of it what a model sees: every binarisation and every transform."""


def figures(run: Path) -> dict[str, dict[str, Any]]:
    """The figures of likelihood in results.json."""
    found: dict[str, dict[str, Any]] = json.loads((run / "results.json").read_text())["likelihood"]
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_figure_is_that_of_the_command_line(way: str, dgmrun: Command, tmp_path: Path) -> None:
    """For a split by its name, and for the same examples in the units of the file, to the bit."""
    x, *words = WAYS[way]
    numpy.save(tmp_path / "x.npy", x)
    data = ("dataset=file", "dataset.path=x.npy")
    assert dgmrun(*data, *words, *SHORT, "hydra.run.dir=run", "train", "likelihood", "sample") == 0
    run = package.load("run")
    for label, told in figures(tmp_path / "run").items():
        kept = numpy.load(tmp_path / "run" / "per_example" / f"test-{label}.npz")["log_prob"]
        for scores in (run.log_prob(method=label), run.log_prob(run.data(), method=label)):
            assert scores.log_prob.numpy().tolist() == kept.tolist()
            assert (scores.mean.value, scores.mean.standard_error) == (told["value"], told["standard_error"])
    drawn = numpy.load(tmp_path / "run" / "samples.npz")["x"]
    assert run.sample(len(drawn)).numpy().tolist() == drawn.tolist()
    units = run.data()
    assert set(map(tuple, units.reshape(-1, 4).tolist())) <= set(map(tuple, x.reshape(-1, 4).tolist())) or way in (
        "threshold",
        "dynamic",
    )


def test_a_conditional_model_is_told_its_context(dgmrun: Command, tmp_path: Path) -> None:
    y = numpy.arange(60) % 3
    numpy.savez(tmp_path / "x.npz", x=(GREY > 99).astype(numpy.uint8), y=y)
    words = ("model=nade", "model.hidden=3", "dataset=file", "dataset.path=x.npz", "given=labels")
    assert dgmrun(*words, *SHORT, "hydra.run.dir=run", "train", "likelihood") == 0
    run = package.load("run")
    told = figures(tmp_path / "run")["exact"]["value"]
    assert run.log_prob().mean.value == run.log_prob(run.data(), given=run.labels()).mean.value == told
    assert len(run.sample(9)) == 9
    assert torch.equal(run.sample(4, given=2), run.sample(4, given=[2]))
    for given in (None, run.labels()[:, None]):
        with pytest.raises(Mistake, match="`given` must"):
            run.log_prob(run.data(), given=given)


def test_train_is_the_command_and_log_z_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words, argv = ("model=rbm", "model.hidden=3", *BINARY, *SHORT, "hydra.run.dir=run"), list(sys.argv)
    run = package.train(*words)
    assert sys.argv == argv
    assert (run.path, repr(run)) == (tmp_path / "run", f"rbm by pcd on bars_and_stripes: {tmp_path / 'run'}")
    figure = run.log_z("ais", num_chains=7, num_temperatures=11)
    assert (figure.settings["num_chains"], "\n" in repr(figure)) == (7, False)
    exact = run.log_z("exact")
    x = run.data().numpy()
    assert run.log_prob(x[::-1]).log_prob.tolist() == run.log_prob(x.astype("uint16")[::-1]).log_prob.tolist()
    assert not torch.equal(run.sample(20, seed=1), run.sample(20, seed=2))
    assert torch.equal(run.sample(20, seed=0), run.sample(20))
    assert run.log_prob(method="exact").mean.value == pytest.approx(float(run.log_prob(run.data()).log_prob.mean()))
    rows = run.results if isinstance(run.results, list) else run.results.to_dict("records")
    assert {row["figure"]: row["value"] for row in rows} == {"log_z.ais": figure.value, "log_z.exact": exact.value}
    assert [each.path for each in package.runs(tmp_path)] == [run.path]


def test_a_training_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor() as threads:
        run = threads.submit(
            package.train, "model=nade", "model.hidden=3", *BINARY, *SHORT, "hydra.run.dir=run"
        ).result()
    assert run.run.results["status"] == "done"


def test_mistakes_name_what_is_wrong(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = package.load(teacher)
    calls: dict[str, Any] = {
        "`log_z.methods` must be auto or among .*did you mean `ais`": lambda: run.log_z("aiss"),
        "there is no key `log_z.ais.chains`": lambda: run.log_z("ais", chains=3),
        "`method` must be given with num_chains": lambda: run.log_z(num_chains=3),
        r"`x` must be \[N, 1, 2, 2\], but is \[1, 2, 2\]": lambda: run.log_prob(run.data()[0]),
        "`x` must hold binary values": lambda: run.log_prob(run.data() / 2),
        "`split` must be one of train, valid, test, but is 'tset'": lambda: run.data("tset"),
        "`split` must be one of train, valid, test, but is None": lambda: run.data(None),  # type: ignore[arg-type]
        "`method` must be the name of a method": lambda: run.log_z(["ais"]),  # type: ignore[arg-type]
        "`given` must be None with a split": lambda: run.log_prob("test", given=[1]),
        "`DIR` must be the path of a folder, but is None": lambda: package.load(None),  # type: ignore[arg-type]
        "each word must be a text": lambda: package.train(["model=rbm"]),  # type: ignore[arg-type]
        "`model` must be a value that Hydra can read": lambda: package.train("model=rbm dataset=digits"),
        "`given` must be None": lambda: run.log_prob(run.data(), given=[1]),
        "`x` must hold numbers": lambda: run.log_prob([["a", "b"], ["c", "d"]]),
        "`sample.count` must be a whole number and at least 1": lambda: run.sample(0),
        "`run` must be a run directory": lambda: package.load("nowhere"),
        "`DIR` must be a folder with runs": lambda: package.runs(),
        "the words must be those of one run": lambda: package.train("model=rbm", "-m"),
        "did you mean `dbn` or `rbm` or `rnn` or `sbn`": lambda: package.train("model=rbn"),
    }
    for message, call in calls.items():
        with pytest.raises(Mistake, match=message):
            call()


def test_the_training_of_a_coin_ends_at_the_frequency_of_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = package.train("experiment=coin", "hydra.run.dir=run")
    theta, frequency = torch.sigmoid(run.model.logits).item(), run.data("train").double().mean().item()  # type: ignore[arg-type]
    assert abs(theta - frequency) < 1e-6
    assert frequency != 0.7, "the true p"


@pytest.mark.slow
def test_the_way_of_a_coin_is_drawn(tmp_path: Path) -> None:
    words = [sys.executable, str(Path(__file__).parents[1] / "examples" / "coin.py")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *_, theta, _, frequency, picture = done.stdout.splitlines()[-1].split()
    assert float(theta) == pytest.approx(float(frequency), abs=1e-6)
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = json.loads((Path(__file__).parents[1] / "examples" / "notebook.ipynb").read_text())
    code = ["import matplotlib; matplotlib.use('agg')"]
    code += ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    done = subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
