"""`dgmrun list` over the shipped configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from dgmrun.command.help import text as help_text
from dgmrun.errors import Mistake
from dgmrun.paths import options
from dgmrun.report.header import Header
from dgmrun.tools.list import groups, header, main

MODEL = """\
# @package _global_
# A model: p(x).
# With a second line.
# Source: Someone 2001.
defaults:
  - override /objective: one

model:
  _target_: package.Model
  sizes: [3, 4] # units of each layer
  prior:
    std: 1.0e-8
"""


def test_a_source_goes_on_to_the_end_of_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# One.\n# Source: Someone 2001, table 1. Their\n# code is odd.\n# Two.\na: 1\n")
    assert header(tmp_path / "a.yaml") == Header(["One.", "Two."], "Someone 2001, table 1. Their code is odd.")


def test_help_is_not_wide() -> None:
    assert max(map(len, help_text().splitlines())) <= 100


class Model:
    def swim(self) -> None: ...


class Fish(Protocol):
    def swim(self) -> None: ...


class Bird(Protocol):
    def fly(self) -> None: ...


class Pond:
    requires = Fish


class Sky:
    requires = Bird


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "model/other.yaml": MODEL,
        "objective/pond.yaml": "# Swims.\n_target_: package.Pond\n",
        "objective/sky.yaml": "# Flies.\n_target_: package.Sky\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    classes = {"package.Model": Model, "package.Pond": Pond, "package.Sky": Sky}
    for module in ("paths", "tools.list"):
        monkeypatch.setattr(f"dgmrun.{module}.config_dir", lambda: tmp_path)
    monkeypatch.setattr("dgmrun.workbench.build.methods", lambda: ["log_z", "likelihood"])
    monkeypatch.setattr("dgmrun.workbench.build.target", lambda node: classes[node["_target_"]])


def test_every_option_has_its_line_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    out = capsys.readouterr().out
    for group in groups(()):
        assert f"{group}\n" in out
        for name, file in options(group).items():
            assert f"  {name} " in out
            assert header(file).lines[0] in out
            assert header(file).source in out


@pytest.mark.parametrize("group", ["model", "objective", "dataset", "log_z"])
def test_whatever_has_an_author_names_a_source(group: str) -> None:
    assert [name for name, file in options(group).items() if not header(file).source] == []


@pytest.mark.parametrize("group", groups(()))
def test_the_line_of_an_option_is_whole(group: str) -> None:
    """It is the first of the file's alone: what goes on in the second would be cut off."""
    cut = [name for name, file in options(group).items() if not header(file).lines[0].endswith((".", "?"))]
    assert cut == []


def test_a_group_alone(capsys: pytest.CaptureFixture[str]) -> None:
    main(["device"])
    assert capsys.readouterr().out.startswith("device\n  auto  ")


@pytest.mark.usefixtures("configs")
def test_an_option_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    main(["model=other"])
    assert capsys.readouterr().out.splitlines() == [
        "model=other",
        "  A model: p(x).",
        "  With a second line.",
        "  source      Someone 2001.",
        "",
        "  keys",
        "    model.sizes=[3, 4]      units of each layer",
        "    model.prior.std=1.0e-8",
        "",
        "  fits        objective=pond; no log_z; no likelihood",
    ]


@pytest.mark.usefixtures("configs")
@pytest.mark.parametrize(("objective", "fits"), [("pond", "model=other"), ("sky", "no model")])
def test_an_objective_names_its_models(capsys: pytest.CaptureFixture[str], objective: str, fits: str) -> None:
    main([f"objective={objective}"])
    assert capsys.readouterr().out.endswith(f"  fits        {fits}\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["model=rmb"], "`model` must be one of .*, but is rmb .did you mean `rbm`"),
        (["modle"], "the group must be one of .*, but is modle .did you mean `model`"),
        (["model=rbm", "more"], "has no more"),
        (["--all"], "has no --all"),
    ],
)
def test_mistakes(argv: list[str], message: str) -> None:
    with pytest.raises(Mistake, match=message):
        main(argv)


@pytest.mark.parametrize("tool", ["list", "compare"])
def test_tools_import_nothing_heavy(tool: str) -> None:
    heavy = {"torch", "lightning", "hydra", "numpy"}
    code = f"import sys, dgmrun.tools.{tool}; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
