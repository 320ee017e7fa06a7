"""Shell completion: what may end a line, and that a shell gets it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from dgmrun.command import completion
from dgmrun.errors import Mistake
from dgmrun.paths import PACKAGE, options, tools, words

MODEL = next(iter(options("model")))
NONSENSE = [
    "dgmrun nonsense mod",
    "dgmrun model=nonsense optimizer.",
    "dgmrun model=[ optimizer.",
    "dgmrun model=rbm)( optimizer.",
    "dgmrun model= optimizer.",
    "dgmrun notes='open mod",
    "dgmrun notes=a\\ mod",
    "dgmrun ~trainer mod",
    "dgmrun --nonsense mod",
    "dgmrun --version mod",
    "dgmrun --config-dir=nowhere mod",
    "dgmrun nonsense=",
    "dgmrun nonsense.key.",
    "dgmrun trainer.max_steps.",
    "dgmrun seed=$(",
    "dgmrun .",
    "dgmrun =",
    "dgmrun run=nowhere/",
    "dgmrun list model=rbm ",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a run and weights in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "a").mkdir(parents=True)
    for name in ("w.npz", ".hidden", "two words", "$(touch pwned)"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Complete:
    return Complete(monkeypatch, capsys)


class Complete:
    """Asks as the scripts of the shells do, by the environment, and reads what they would read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, line: str, point: int | None = None) -> set[str]:
        self.monkeypatch.setenv("COMP_LINE", line)
        self.monkeypatch.setenv("COMP_POINT", str(len(line) if point is None else point))
        completion.main(["-sc", "query=bash"])
        said = self.capsys.readouterr()
        assert said.err == ""
        return set(said.out.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dgmrun mod", "model= model."),
        ("dgmrun likelihood mod", "model= model."),
        ("dgmrun model=rbm train seed=1 log_z mod", "model= model."),
        ("dgmrun model=rb", "model=rbm"),
        ("dgmrun train model=rb", "model=rbm"),
        ("dgmrun device=", " ".join(f"device={name}" for name in options("device"))),
        ("dgmrun model=rbm -m objective=cd,p", "objective=cd,pcd"),
        ("dgmrun tra", "train trainer."),
        ("dgmrun train tra", "trainer."),
        ("dgmrun comp", "compare"),
        ("dgmrun train comp", ""),
        ("dgmrun trainer.accum", "trainer.accumulate="),
        ("dgmrun seed=", "seed=0"),
        ("dgmrun device.compile=", "device.compile=false"),
        ("dgmrun model=rbm model.", "model.hidden= model.weight_std="),
        ("dgmrun optimizer=adam optimizer.bet", "optimizer.betas="),
        ("dgmrun optimizer=sgd optimizer.bet", ""),
        ("dgmrun -m optimizer=adam,sgd seed=1,2 optimizer.bet", "optimizer.betas="),
        ("dgmrun experiment=rbm_uci model.hidden=", "model.hidden=23"),
        ("dgmrun log_z.ais.sp", "log_z.ais.spacing="),
        ("dgmrun log_z=", ""),
        ("dgmrun log_z", "log_z log_z."),
        ("dgmrun --cfg job mod", "model= model."),
        ("dgmrun hydra.run.", "hydra.run.dir="),
        ("dgmrun notes='two words' mod", "model= model."),
        ("dgmrun run=outputs/a mod", ""),
        ("dgmrun run=outputs/a log_z devi", "device= device."),
        ("dgmrun list model=rb", "model=rbm"),
        ("dgmrun list log_z=", "log_z=ais log_z=bridge log_z=exact log_z=importance log_z=laplace log_z=reverse_ais"),
        ("dgmrun compare ", "outputs/ --csv --html --json --latex --markdown --figures --runs --wide"),
        ("dgmrun compare outputs/ outputs/", "outputs/a/"),
        ("dgmrun clean --", "--failed --checkpoints --yes"),
        ("dgmrun clean out", "outputs/"),
        ("/opt/python3.11/bin/dgmrun train mod", "model= model."),
    ],
)
def test_what_may_end_a_line(complete: Complete, line: str, expected: str) -> None:
    assert complete(line) == set(expected.split())


def test_an_empty_word(complete: Complete) -> None:
    every = complete("dgmrun ")
    assert set(words()) | set(tools()) | {"model=", "dataset=", "seed=", "optimizer.", "run="} <= every
    assert not {each for each in every if each.startswith(("hydra", "log_z=", "likelihood=", "-"))}
    assert complete("dgmrun train ") == every - {"train", *tools()}
    assert complete(f"dgmrun model={MODEL} ") == every - set(tools())


def test_only_what_stands_before_the_cursor_counts(complete: Complete) -> None:
    assert complete("dgmrun mod nonsense", point=len("dgmrun mod")) == {"model=", "model."}


@pytest.mark.parametrize("key", ["run", "weights", "data_dir", "dataset.path", "log_z.proposal", "objective.teacher"])
def test_paths(complete: Complete, folder: Path, key: str) -> None:
    assert complete(f"dgmrun train {key}=") == {f"{key}=outputs/", f"{key}=w.npz"}
    assert complete(f"dgmrun {key}=w") == {f"{key}=w.npz"}
    assert complete(f"dgmrun {key}=./outputs/") == {f"{key}=./outputs/a/"}
    assert complete(f"dgmrun {key}=.h") == {f"{key}=.hidden"}
    assert complete(f"dgmrun {key}={folder}/ou") == {f"{key}={folder}/outputs/"}


def test_the_users_own_options(complete: Complete, folder: Path) -> None:
    (folder / "own's ö" / "optimizer").mkdir(parents=True)
    (folder / "own's ö" / "optimizer" / "mine.yaml").write_text("_target_: torch.optim.SGD\nrate: 1.0\n")
    assert "optimizer=mine" in complete('dgmrun --config-dir "own\'s ö" optimizer=')
    assert complete('dgmrun --config-dir="own\'s ö" optimizer=mine optimizer.') == {"optimizer.rate="}


@pytest.mark.parametrize("line", NONSENSE)
def test_nonsense_has_no_suggestions(complete: Complete, line: str) -> None:
    assert complete(line) == set()


OF_COMPARE = {"--csv", "--html", "--json", "--latex", "--markdown", "--figures", "--runs", "--wide"}
FLAGS = {"compare": OF_COMPARE, "clean": {"--failed", "--checkpoints", "--yes"}, "list": {"--config-dir"}}


@pytest.mark.parametrize("tool", tools())
def test_tools_have_these_flags(capsys: pytest.CaptureFixture[str], tool: str) -> None:
    module = import_module(f"dgmrun.tools.{tool}")
    with pytest.raises(SystemExit):
        module.main(["--help"])
    flags = {each for each in completion.suggestions(f"dgmrun {tool} ") if each.startswith("--")}
    assert set(re.findall(r"(?<=\s)--[\w-]+", capsys.readouterr().out)) == {"--help", *flags}
    assert flags == FLAGS[tool]


@pytest.mark.parametrize("argv", ["-sc", "-sc bash", "-sc install=", "-sc install=tcsh", "-sc install=bash seed=1"])
def test_mistakes(argv: str) -> None:
    with pytest.raises(Mistake, match=r"must be followed by .* bash, zsh, fish"):
        completion.main(argv.split())


@pytest.mark.parametrize("program", ["/somewhere/bin/dgmrun", "dgmrun", "/somewhere/dgmrun/__main__.py"])
@pytest.mark.parametrize(("shell", "registers"), [("bash", "dgmrun"), ("zsh", "dgmrun"), ("fish", "-c dgmrun -x")])
def test_what_is_installed_is_for_dgmrun(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, program: str, shell: str, registers: str
) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    completion.main(["--shell-completion", f"install={shell}"])
    script = capsys.readouterr().out
    last = [line for line in script.splitlines() if "complete -" in line][-1]
    assert registers in last
    assert "hydra_" in last
    assert "-F hydra_bash_completion python" not in script


BASH = """
eval "$(dgmrun --shell-completion install=bash)"
called=$(complete -p dgmrun); called=${called##*-F }; called=${called%% *}
complete_line() {
    COMP_LINE=$1; COMP_POINT=${#1}; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    if [[ $1 == *" " ]]; then COMP_WORDS+=(""); COMP_CWORD=$((COMP_CWORD + 1)); fi
    COMPREPLY=(); "$called"; echo "${COMPREPLY[@]}"
}
complete_line "dgmrun train mod"
complete_line "dgmrun model=rbm train optimizer.l"
complete_line "dgmrun run=out"
complete_line "dgmrun weights="
complete_line "dgmrun compare "
eval "$(dgmrun --shell-completion install=bash)"; eval "$(dgmrun --shell-completion uninstall=bash)"
complete -p dgmrun || echo gone
"""


def test_bash(folder: Path) -> None:
    programs = folder / "bin"
    programs.mkdir()
    stub = "import sys; from dgmrun.command.completion import main; main(sys.argv[1:])"
    program = programs / "dgmrun"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{stub}' \"$@\"\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH], capture_output=True, text=True, check=True, cwd=folder, env=environment
    )
    assert done.stdout.splitlines() == [
        "model. model=",
        "optimizer.lr=",
        "run=outputs/",
        "weights=bin/ weights=outputs/ weights=w.npz",
        "--csv --figures --html --json --latex --markdown --runs --wide bin/ outputs/",
        "gone",
    ]
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "no completion spec" in line]
    assert not (folder / "pwned").exists()
