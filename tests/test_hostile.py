"""Files of a stranger in a genuine run: none is executed, writes elsewhere or reaches the terminal; each is refused.

`hostile/` has a folder for each place that a stranger's file can take, and a file for each trick:

config         keys of config.yaml, in place of the genuine ones; `whole-*` in place of the whole file
results        results.json
weights        `weights=FILE`, and weights.safetensors
checkpoints    checkpoints/last.ckpt and previous.ckpt, with the right sha256
data           `dataset.path=FILE`
per_example    the scores of a split, which compare reads
escapes        keys of config.yaml, or results.json, that may be told, but not obeyed

`make.py` makes the binary ones. What no file in git can be is made here.

Each file goes to its reader; through the command line go those that no reader refuses, and of the others the few that
`AT_THE_DOOR` names.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import re
import resource
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dgmrun.datasets import file as own_file
from dgmrun.errors import Mistake, printable
from dgmrun.run import weights
from dgmrun.run.directory import Run
from dgmrun.stages.train import saved
from dgmrun.workbench.setup import Setup

Command = Callable[..., int]
HERE = Path(__file__).parent / "hostile"
TINY = (
    "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4 "
    "model.hidden=3 trainer.max_steps=3 trainer.validate_every_n_steps=2 log_z.ais.num_temperatures=20 "
    "log_z.reverse_ais.num_temperatures=20 sample.count=4"
).split()
MINE = [word for word in TINY if not word.startswith("dataset")]
SECRET = "tops3cret"
TOLD = re.compile(r"\n?(warning: .+\n)*(error: .+\n(\nhint: .+\n)?)?")
"""All that a command that is refused may say: lines that begin with what they are."""
SECONDS, BYTES = 10, 2**30
AT_THE_DOOR = {
    *("yaml-object.yaml", "key-escape.yaml", "pickle.json", "status-escape.json"),
    *("pickle-inside.npz", "name-escape.npz", "pickle.safetensors", "name-escape.safetensors"),
    *("torch-zip.ckpt", "torch-zip-bomb.ckpt", "pickle.npy", "escapes.csv", "name-escape.npz"),
    *("no iteration", "word as iteration"),
}
"""Files that a reader refuses and that go through the command line nevertheless: a trick and a forgery each."""


def files(folder: str, pattern: str = "*") -> list[Any]:
    """Every file of a folder of `hostile/`, by its name."""
    found = sorted((HERE / folder).glob(pattern))
    assert found
    return [pytest.param(file, id=file.name) for file in found]


@pytest.fixture(scope="session")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with figures."""
    from dgmrun.cli import main

    folder = tmp_path_factory.mktemp("genuine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["dgmrun", "model=rbm", *TINY, "train", "likelihood", "hydra.run.dir=run"])
        assert main() == 0
    return folder / "run"


class Victim:
    """Somebody who was given a run, and what must be true of all that they do with it."""

    def __init__(self, dgmrun: Command, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.dgmrun, self.folder, self.capsys = dgmrun, folder, capsys
        self.run = folder / "run"

    def types(self, *argv: str) -> tuple[int, str, str]:
        """Runs a command, whatever its status; gives it, and what it said on stdout and stderr."""
        self.capsys.readouterr()
        before, memory, started = self._around(), peak(), time.process_time()
        status = self.dgmrun(*argv)
        out, err = self.capsys.readouterr()
        assert time.process_time() - started < SECONDS
        assert peak() - memory < BYTES
        assert self._around() == before, "what is not of the run stays as it is"
        assert status in (0, 1, 2)
        assert all(letter.isprintable() or letter == "\n" for letter in out + err)
        assert max(map(len, (out + err).split("\n"))) < 20_000
        assert "Traceback" not in out + err
        assert SECRET not in out + err
        assert not list(self.folder.rglob("pwned*"))
        return status, out, err

    def is_refused(self, *argv: str) -> str:
        """Runs a command that must end with a mistake; gives what it said."""
        status, out, err = self.types(*argv)
        assert status in (1, 2), out + err
        assert TOLD.fullmatch(err), err
        return err

    def is_refused_by(self, reader: Callable[[], object]) -> bool:
        """Whether a reader refuses, as its caller expects, and does nothing else."""
        before, memory, started = self._around(), peak(), time.process_time()
        said = None
        try:
            reader()
        except (Mistake, ValueError) as error:
            said = str(error)
        assert "".join(self.capsys.readouterr()) == ""
        assert time.process_time() - started < SECONDS
        assert peak() - memory < BYTES
        assert self._around() == before, "what is not of the run stays as it is"
        assert not list(self.folder.rglob("pwned*"))
        if said is not None:
            assert said
            assert SECRET not in said
            assert len(printable(said)) < 20_000
        return said is not None

    def looks(self) -> None:
        """Compares and cleans."""
        for argv in (("compare", "."), ("clean", ".", "--failed", "--yes")):
            _, _, err = self.types(*argv)
            assert TOLD.fullmatch(err), err

    def _around(self) -> dict[str, bytes | str]:
        """Everything but the run."""
        return {
            str(path): os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            for path in self.folder.rglob("*")
            if not path.is_relative_to(self.run)
        }


def peak() -> int:
    """Bytes of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture
def victim(
    genuine: Path,
    dgmrun: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Victim]:
    """Somebody with a copy of the genuine run, and a secret."""
    shutil.copytree(genuine, tmp_path / "run")
    shutil.copytree(genuine, tmp_path / "mine")
    (tmp_path / "precious").write_text("precious")
    monkeypatch.setenv("DGMRUN_SECRET", SECRET)
    yield Victim(dgmrun, tmp_path, capsys)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.stat().st_size < 2**27:
            assert SECRET.encode() not in path.read_bytes(), path


def put_config(run: Path, file: Path) -> None:
    """The keys of a file in place of the genuine ones."""
    content = file.read_bytes()
    if not file.name.startswith("whole"):
        keys = re.findall(r"^([\w-]+):", content.decode(), re.MULTILINE)
        saved = yaml.safe_load((run / "config.yaml").read_text())
        content = yaml.safe_dump({key: value for key, value in saved.items() if key not in keys}).encode() + content
    (run / "config.yaml").write_bytes(content)


def put_checkpoint(run: Path, content: bytes) -> None:
    """Bytes in place of every checkpoint, with their sha256."""
    for name in ("last", "previous", "best"):
        (run / "checkpoints" / f"{name}.ckpt").write_bytes(content)
        (run / "checkpoints" / f"{name}.ckpt.sha256").write_text(hashlib.sha256(content).hexdigest())


def test_the_genuine_run_is_taken(victim: Victim) -> None:
    """Or all that follows would say nothing."""
    assert victim.types("log_z", "likelihood", "sample", "run=run")[0] == 0
    assert victim.types("train", "run=run", "trainer.max_steps=5")[0] == 0
    assert victim.types("model=rbm", *TINY, "weights=mine", "stages=[]", "hydra.run.dir=run/new")[0] == 0
    victim.looks()


@pytest.mark.parametrize("file", files("config"))
def test_configurations(file: Path, victim: Victim) -> None:
    put_config(victim.run, file)
    words = re.search(r"^# error: (.*)$", file.read_text(errors="replace"), re.MULTILINE)
    if not words and file.name not in AT_THE_DOOR and victim.is_refused_by(lambda: Run(victim.run).config):
        return
    assert (words[1] if words else "") in victim.is_refused("log_z", "run=run")
    victim.looks()


@pytest.mark.parametrize("file", files("results"))
def test_results(file: Path, victim: Victim) -> None:
    shutil.copy(file, victim.run / "results.json")
    if file.name not in AT_THE_DOOR and victim.is_refused_by(lambda: Run(victim.run).results):
        return
    victim.is_refused("likelihood", "run=run")
    victim.looks()


LARGE: dict[str, bytes] = {
    "results.json deep": b'{"a": ' * 10**5,
    "results.json digits": b'{"seed": ' + b"9" * 10**6 + b"}",
    "results.json lists": b'{"a": [' + b"[]," * 10**7 + b"[]]}",
    "config.yaml deep": b"[" * 10**5,
    "config.yaml digits": b"seed: " + b"9" * 10**5,
    "config.yaml long": b"notes: " + b"a" * 10**7,
    "config.yaml sexagesimal": b"seed: 1" + b":59" * 20_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_files(name: str, victim: Victim) -> None:
    (victim.run / name.split()[0]).write_bytes(LARGE[name])
    victim.is_refused("log_z", "run=run")
    victim.looks()


@pytest.mark.parametrize("name", ["config.yaml", "results.json", "weights.safetensors", "checkpoints/last.ckpt.sha256"])
def test_endless_files(name: str, victim: Victim) -> None:
    """Of zeros that lie nowhere: each reader stops early."""
    os.truncate(victim.run / name, 2**28 if name.startswith("weights") else 2**40)
    if name.startswith("checkpoints"):
        shutil.copy(victim.run / "checkpoints/last.ckpt", victim.run / "checkpoints/previous.ckpt")
        victim.is_refused("train", "run=run", "trainer.max_steps=5")
    else:
        victim.is_refused("log_z", "run=run")
        victim.looks()


@pytest.mark.parametrize("file", files("weights"))
def test_weights(file: Path, victim: Victim) -> None:
    model = Setup(Run.open(victim.run).config).new_model()
    is_refused = victim.is_refused_by(lambda: weights.load(model, weights.read(file), file))
    if is_refused and file.name not in AT_THE_DOOR:
        return
    if file.suffix == ".safetensors":
        shutil.copy(file, victim.run / "weights.safetensors")
        victim.is_refused("log_z", "run=run")
    else:
        victim.is_refused("model=rbm", *TINY, f"weights={file}", "log_z", "hydra.run.dir=run/new")


@pytest.mark.parametrize("file", files("checkpoints"))
def test_checkpoints(file: Path, victim: Victim) -> None:
    put_checkpoint(victim.run, file.read_bytes())
    last = victim.run / "checkpoints" / "last.ckpt"
    if file.name not in AT_THE_DOOR and victim.is_refused_by(lambda: saved.read(last)):
        with pytest.raises(Mistake, match="must be a whole checkpoint"):
            saved.read(last)
        return
    err = victim.is_refused("train", "run=run", "trainer.max_steps=5")
    assert "must be a whole checkpoint" in err
    victim.looks()


Change = Callable[[dict[str, Any]], Any]
CHANGES: dict[str, Change] = {
    "no parameter": lambda state: state["state_dict"].clear(),
    "other parameter": lambda state: state["state_dict"].update(evil=torch.zeros(3)),
    "other shape": lambda state: state["state_dict"].update({"model.weight": torch.zeros(3, 4)}),
    "word as parameter": lambda state: state["state_dict"].update({"model.weight": "x"}),
    "parameters not finite": lambda state: state["state_dict"].update({"model.weight": torch.full((4, 3), torch.nan)}),
    "no iteration": lambda state: state.pop("iteration"),
    "negative iteration": lambda state: state.update(iteration=-1),
    "word as iteration": lambda state: state.update(iteration="\x1b[31m3"),
    "tensor as iteration": lambda state: state.update(iteration=torch.ones(2)),
    "no ranks": lambda state: state.update(ranks=[]),
    "word as rank": lambda state: state.update(ranks=["x"]),
    "two ranks": lambda state: state.update(ranks=state["ranks"] * 2),
    "no generator": lambda state: state["ranks"][0].update(rng={}),
    "short generator": lambda state: state["ranks"][0]["rng"].update(cpu=torch.zeros(3, dtype=torch.uint8)),
    "place beyond the data": lambda state: state["ranks"][0]["source"].update(position=10**9),
    "negative place": lambda state: state["ranks"][0]["source"].update(position=-1),
    "word as epoch": lambda state: state["ranks"][0]["source"].update(epoch="first"),
    "chains of other shape": lambda state: state["ranks"][0]["objective"].update(chains=torch.zeros(1, 1, 2, 2)),
    "chains that are endless": lambda state: state["ranks"][0]["objective"].update(
        chains=torch.zeros(1).expand(2**40, 1, 2, 2)
    ),
    "chains that are no bits": lambda state: state["ranks"][0]["objective"].update(
        chains=torch.full((4, 1, 2, 2), 7.0)
    ),
    "no chains": lambda state: state["ranks"][0]["objective"].clear(),
    "chains of nobody": lambda state: state["ranks"][0]["objective"].update(evil=torch.zeros(3)),
    "no optimizer": lambda state: state.update(optimizer_states=[]),
    "word as optimizer": lambda state: state.update(optimizer_states=["x"]),
    "other groups": lambda state: state["optimizer_states"][0].update(param_groups=[]),
    "word as rate": lambda state: state["optimizer_states"][0]["param_groups"][0].update(lr="fast"),
    "rate that is not finite": lambda state: state["optimizer_states"][0]["param_groups"][0].update(lr=math.nan),
    "flag as another": lambda state: state["optimizer_states"][0]["param_groups"][0].update(nesterov=True),
    "parameter of no optimizer": lambda state: state["optimizer_states"][0]["param_groups"][0].update(params=[7]),
    "moment of nothing": lambda state: state["optimizer_states"][0]["state"].update({0: {"momentum_buffer": 1}}),
    "word as schedule": lambda state: state.update(schedule_states=["x"]),
    "gradient of nothing": lambda state: state["gradients"].update(evil=torch.zeros(3)),
    "gradient of other shape": lambda state: state["gradients"].update({"weight": torch.zeros(7)}),
    "no callbacks": lambda state: state.update(callbacks=[]),
    "no validation": lambda state: state["callbacks"].update(Validation={}),
    "word as best": lambda state: state["callbacks"]["Validation"].update(best="\x1b[31mnone"),
    "word as seconds": lambda state: state["callbacks"]["Limits"].update(seconds="many"),
    "seconds that are none": lambda state: state["callbacks"]["Limits"].update(seconds=math.nan),
    "callback of nobody": lambda state: state["callbacks"].update(Evil={"x": 1}),
    "loops": lambda state: state.update(loops={"fit_loop": {"state_dict": {}}}),
    "word as environment": lambda state: state.update(environment="x"),
    "no environment": lambda state: state.pop("environment"),
    "part of nobody": lambda state: state.update({"\x1b[31mnew": "\x1b[31mnew"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_checkpoints(name: str, victim: Victim) -> None:
    file = victim.run / "checkpoints" / "last.ckpt"
    state = torch.load(file, weights_only=True)
    CHANGES[name](state)
    torch.save(state, file)
    put_checkpoint(victim.run, file.read_bytes())
    if name not in AT_THE_DOOR and victim.is_refused_by(lambda: saved.read(file)):
        return
    victim.is_refused("train", "run=run", "trainer.max_steps=5")


def test_what_a_checkpoint_says_is_not_obeyed(victim: Victim) -> None:
    file = victim.run / "checkpoints" / "last.ckpt"
    state = torch.load(file, weights_only=True)
    state["environment"]["torch"] = "\x1b[31mred\nerror: forged"
    torch.save(state, file)
    put_checkpoint(victim.run, file.read_bytes())
    status, _, err = victim.types("train", "run=run", "trainer.max_steps=5")
    assert status == 0
    assert not re.search("^error: forged", err, re.MULTILINE)
    assert "\x1b" not in (victim.run / "run.log").read_text()


@pytest.mark.parametrize("file", files("data"))
def test_data(file: Path, victim: Victim) -> None:
    if file.name not in AT_THE_DOOR and victim.is_refused_by(lambda: own_file.load(Path(), str(file))):
        return
    victim.is_refused("model=rbm", "dataset=file", f"dataset.path={file}", *MINE, "train", "hydra.run.dir=run/new")


@pytest.mark.parametrize("file", files("per_example"))
def test_scores(file: Path, victim: Victim) -> None:
    assert "Not ranked" not in victim.types("compare", ".")[1]
    for place in (victim.run / "per_example").iterdir():
        shutil.copy(file, place)
    status, out, err = victim.types("compare", ".")
    assert status == 0
    assert re.search(r" run$", out.partition("Not ranked")[2], re.MULTILINE)
    assert "is left out: " in err
    assert TOLD.fullmatch(err)


@pytest.mark.parametrize("file", files("escapes"))
def test_escapes(file: Path, victim: Victim) -> None:
    if file.suffix == ".json":
        shutil.copy(file, victim.run / "results.json")
    else:
        put_config(victim.run, file)
    victim.types("log_z", "run=run")
    for form in ([], ["--runs"], ["--csv"], ["--json"], ["--markdown"], ["--latex"]):
        assert victim.types("compare", ".", *form)[0] == 0
    _, out, err = victim.types("clean", ".", "--failed", "--yes")
    assert not re.search("^error: forged", out + err, re.MULTILINE)


def links() -> list[Any]:
    """What a run has and a link can stand for."""
    names = ("config.yaml", "results.json", "weights.safetensors", "weights-ema.safetensors", "run.log", "samples.npz")
    return [
        *names,
        "checkpoints",
        "checkpoints/last.ckpt",
        "checkpoints/.lock",
        "figures",
        "per_example",
        "a/b",
    ]


@pytest.mark.parametrize("aim", ["file", "folder", "nothing"])
@pytest.mark.parametrize("name", links())
def test_links(name: str, aim: str, victim: Victim) -> None:
    """To a file, to a folder and to what is not there yet."""
    place = victim.run / name
    place.parent.mkdir(exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    place.symlink_to(victim.folder / {"file": "precious", "folder": "mine", "nothing": "nothing"}[aim])
    victim.is_refused("log_z", "run=run")
    victim.looks()


def fifo(place: Path) -> None:
    os.mkfifo(place)


def bound(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        folder = os.getcwd()
        os.chdir(place.parent)  # a socket's path is short
        one.bind(place.name)
        os.chdir(folder)


@pytest.mark.parametrize("make", [fifo, bound, Path.mkdir])
@pytest.mark.parametrize(
    "name", ["config.yaml", "results.json", "weights.safetensors", "run.log", "per_example/test-exact.npz"]
)
def test_other_kinds_of_file(name: str, make: Callable[[Path], None], victim: Victim) -> None:
    """Reading a pipe would wait for ever."""
    place = victim.run / name
    place.unlink()
    make(place)
    if make is not Path.mkdir or not name.startswith("per_example"):
        victim.is_refused("log_z", "run=run")
    victim.looks()


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nerror: forged", "a b; touch pwned", "$(touch pwned)", "-rf"])
def test_names_of_runs(name: str, victim: Victim) -> None:
    """They are told in errors, hints and tables."""
    victim.run = victim.folder / "given"
    victim.run.mkdir()
    (victim.folder / "run").rename(place := victim.run / name)
    victim.looks()
    victim.types("log_z", f"run={place}")
    (place / "config.yaml").write_text("hydra: 1")
    victim.is_refused("log_z", f"run={place}")
    victim.looks()


def test_a_run_whose_name_is_an_interpolation(victim: Victim) -> None:
    (victim.folder / "run").rename(victim.folder / "${oc.env:DGMRUN_SECRET}")
    victim.is_refused("log_z", "run=${oc.env:DGMRUN_SECRET}")
    victim.looks()


def test_a_file_beside_a_run_makes_no_target_legal(victim: Victim) -> None:
    put_config(victim.run, HERE / "config" / "target-torch-hub.yaml")
    (victim.run / "model").mkdir()
    shutil.copy(victim.run / "config.yaml", victim.run / "model" / "evil.yaml")
    assert "`model._target_` must be one" in victim.is_refused("log_z", "run=run", "--config-dir=mine")


def test_stored_figures_of_no_use_are_made_anew(victim: Victim) -> None:
    """Not taken for figures of these weights, and no mishap."""
    results = json.loads((victim.run / "results.json").read_text())
    for entry in results["log_z"].values():
        entry.update(bias=None, of=None, settings=None, warnings=None, value=None)
    (victim.run / "results.json").write_text(json.dumps(results))
    assert victim.types("likelihood", "run=run")[0] == 0
    assert json.loads((victim.run / "results.json").read_text())["log_z"]["exact"]["value"] is not None


def test_the_files_are_what_make_makes() -> None:
    """Those that are packed aside: another zlib may pack otherwise."""
    spec = importlib.util.spec_from_file_location("make", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    binary = {str(file.relative_to(HERE)) for file in HERE.glob("*/*") if file.suffix not in (".yaml", ".json", ".pyc")}
    assert binary == set(make.FILES)
    for name, content in make.FILES.items():
        if "bomb" not in name:
            assert (HERE / name).read_bytes() == content(), name
