"""A model, an objective, a dataset and a simulator from a package outside, found by --config-dir alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Command

PACKAGE = Path(__file__).parents[1] / "examples" / "own_package"
WORDS = ("model=laplace", "objective=mle_noisy", "dataset=hoops", "trainer.max_steps=3", "hydra.run.dir=run")


def test_a_package_beside_the_configuration_is_found_and_found_again(
    dgmrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its own runs, for the user who has given it; not by a run that names a folder which the user has not given."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(PACKAGE, tmp_path / "mine")
    assert dgmrun("--config-dir=mine/configs", *WORDS, "train", "likelihood") == 0
    assert dgmrun("likelihood", "run=run") == 0

    file = tmp_path / "run" / "results.json"
    file.write_text(file.read_text().replace(f"{tmp_path}/mine/configs", f"{tmp_path}/other/configs"))
    shutil.copytree(PACKAGE, tmp_path / "other")
    capsys.readouterr()
    assert dgmrun("likelihood", "run=run") == 2
    assert "_target_` must be one that configuration files name" in capsys.readouterr().err
    assert dgmrun("likelihood", "run=run", "--config-dir=other/configs") == 0
    assert dgmrun("likelihood", "run=run") == 0


def test_a_simulator_is_one_function_of_ones_own(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    words = (f"--config-dir={PACKAGE / 'configs'}", "model=epidemic", "trainer.max_steps=3", "hydra.run.dir=run")
    assert dgmrun(*words, "dataset.simulate.days=5", "train") == 2
    assert "`model.simulate` must give x [2, 5] for 2 z, as data are, but gives [2, 20]" in capsys.readouterr().err
    assert dgmrun(*words, "dataset.latent=1", "train") == 2
    assert (
        "`dataset.simulate` must map z [2, 1] (dataset.latent=1) to x, but raises IndexError" in capsys.readouterr().err
    )
    assert dgmrun(*words, "train", "sample") == 0


def test_what_is_of_the_package_is_listed(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert dgmrun("list", "model=laplace", f"--config-dir={PACKAGE / 'configs'}") == 0
    assert "mle_noisy" in capsys.readouterr().out
    assert dgmrun("--help", f"--config-dir={PACKAGE / 'configs'}") == 0
    assert "laplace" in capsys.readouterr().out
    assert dgmrun("list", "--config-dir=nowhere") == 2
    assert "`--config-dir` must be a folder" in capsys.readouterr().err


def test_a_name_that_dgmrun_has_itself_is_refused(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine/dataset").mkdir(parents=True)
    Path("mine/dataset/moons.yaml").write_text("_target_: own.hoops.load\n")
    for words in (("model=gaussian", "dataset=moons"), ("list",)):
        assert dgmrun(*words, "--config-dir=mine") == 2
        error = capsys.readouterr().err
        assert "`--config-dir` must have names of its own, but dataset/moons.yaml is one of dgmrun's, too" in error
        assert "hint: mv mine/dataset/moons.yaml mine/dataset/my_moons.yaml" in error
