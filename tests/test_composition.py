"""What is kept of Hydra's work is what Hydra would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from dgmrun.command import arguments, composition
from dgmrun.command.compose import compose, store_new

OPTIONS = ["model=rbm", "dataset=coin"]


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What Hydra was asked to compose."""
    made: list[list[str]] = []
    own = composition.hydra.compose
    monkeypatch.setattr(composition.hydra, "compose", lambda *a, **k: made.append(a[1]) or own(*a, **k))
    composition._composed_new.cache_clear()
    return made


def composed(*words: str) -> dict[str, Any]:
    """The configuration of a command."""
    found = compose(arguments.parse([*words, "train"]))
    assert found is not None
    return found[0]


def test_options_are_composed_once_whatever_the_keys(calls: list[list[str]]) -> None:
    first = composed(*OPTIONS, "seed=1", "model.hidden=3")
    second = composed(*OPTIONS, "seed=2", "hydra.run.dir=elsewhere")
    assert calls == [OPTIONS]
    assert (first["seed"], second["seed"], second["model"]["hidden"]) == (1, 2, composed(*OPTIONS)["model"]["hidden"])
    composed("model=rbm")
    assert calls == [OPTIONS, ["model=rbm"]]


def test_what_differs_from_command_to_command_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the run is, and where one stands."""
    words = [*OPTIONS, "data_dir='${hydra:run.dir}/d'", "weights='${hydra:runtime.cwd}/w'"]
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        found = compose(arguments.parse([*words, f"hydra.run.dir={folder}", "train"]))
        assert found is not None
        assert found[1] == tmp_path / folder / folder
        assert found[0]["data_dir"] == str(tmp_path / folder / folder / "d")
        assert found[0]["weights"] == str(tmp_path / folder / "w")


def test_another_configuration_is_composed_anew(calls: list[list[str]], tmp_path: Path) -> None:
    before = composed(*OPTIONS)
    (tmp_path / "log_z").mkdir()
    (tmp_path / "log_z" / "mine.yaml").write_text("mine:\n  _target_: dgmrun.estimators.log_z.ais.AIS\n")
    own = composed(f"--config-dir={tmp_path}", *OPTIONS)
    assert "mine" in own["log_z"]
    assert composed(*OPTIONS) == before
    assert len(calls) == 3


@pytest.mark.parametrize("value", ["1", "true", "1.0"])
def test_equal_values_of_other_types_are_other_configurations(value: str, tmp_path: Path) -> None:
    composed(*OPTIONS)
    (tmp_path / "log_z").mkdir()
    for each in ("1", value):
        (tmp_path / "log_z" / "mine.yaml").write_text(f"mine:\n  _target_: a.B\n  num: {each}\n")
        own = composed(f"--config-dir={tmp_path}", *OPTIONS)
    assert type(own["log_z"]["mine"]["num"]) is type(yaml.safe_load(value))


def test_what_is_kept_is_a_copy() -> None:
    store_new(())
    with composition.opened(arguments.parse(OPTIONS)):
        OmegaConf.update(composition.composition("new", OPTIONS), "seed", 5)
        assert composition.composition("new", OPTIONS).seed == 0
