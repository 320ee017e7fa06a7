"""The command line: words anywhere, one door for every run, and each mistake on one line with exit status 2."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from dgmrun.cli import main
from dgmrun.command import arguments

Command = Callable[..., int]
TINY = (
    "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4 "
    "model.hidden=3 trainer.max_steps=3 trainer.validate_every_n_steps=2 log_z.ais.num_temperatures=20 "
    "log_z.reverse_ais.num_temperatures=20"
).split()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["dgmrun", "model=rbm", *TINY, "train", "hydra.run.dir=run"])
        assert main() == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a trained run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_words_may_stand_anywhere(dgmrun: Command, tmp_path: Path) -> None:
    assert dgmrun("train", "model=rbm", "log_z", *TINY, "hydra.run.dir=a", "likelihood", "sample") == 0
    results = json.loads((tmp_path / "a" / "results.json").read_text())
    assert {"train", "log_z", "likelihood", "sample"} <= set(results)
    assert yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())["stages"] == [
        "train",
        "log_z",
        "likelihood",
        "sample",
    ]
    assert (tmp_path / "a" / "figures" / "samples.png").is_file()
    assert set(numpy.load(tmp_path / "a" / "samples.npz", allow_pickle=False)) == {"x", "data"}


def test_no_word_means_train_and_argv_names_the_run(dgmrun: Command, tmp_path: Path) -> None:
    assert dgmrun("model=rbm", *TINY, "hydra.run.dir=a b=c") == 0
    assert sys.argv[1:] == [f"run='{tmp_path / 'a b=c'}'", "stages=[train]"]
    assert dgmrun(*sys.argv[1:]) == 0


def test_a_run_goes_on_with_what_it_has_not_finished(dgmrun: Command, tmp_path: Path, capsys: Any) -> None:
    assert dgmrun("model=rbm", *TINY, "train", "sample", "log_z", "hydra.run.dir=a", "sample.count=-1") == 2
    assert not (tmp_path / "a").exists()
    assert dgmrun("model=rbm", *TINY, "train", "sample", "log_z", "hydra.run.dir=a") == 0
    results = json.loads((tmp_path / "a" / "results.json").read_text())
    del results["log_z"], results["stages"]["log_z"]
    (tmp_path / "a" / "results.json").write_text(json.dumps(results))
    capsys.readouterr()
    assert dgmrun("run=a") == 0
    errors = capsys.readouterr().err
    assert "log_z.exact" in errors
    assert "samples (" not in errors


def test_evaluation_leaves_the_configuration_alone(dgmrun: Command, run: Path) -> None:
    before = (run / "config.yaml").read_bytes()
    assert dgmrun("log_z", "log_z.methods=[ais]", "log_z.ais.num_chains=7", f"run={run}") == 0
    assert (run / "config.yaml").read_bytes() == before
    results = json.loads((run / "results.json").read_text())
    assert list(results["log_z"]) == ["ais"]
    assert results["log_z"]["ais"]["settings"]["num_chains"] == 7


def test_weights_start_a_run_that_can_be_scored_at_once(dgmrun: Command, run: Path, tmp_path: Path) -> None:
    assert dgmrun("model=rbm", *TINY, f"weights={run}", "log_z", "hydra.run.dir=b") == 0
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (run, tmp_path / "b"))
    assert second["inputs"][0]["role"] == "weights"
    assert (tmp_path / "b" / "weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()
    assert first["seed"] == second["seed"]


def test_salakhutdinovs_names(dgmrun: Command, tmp_path: Path) -> None:
    numpy.savez(
        tmp_path / "w.npz",
        vishid=numpy.ones((4, 3)),
        visbiases=numpy.ones((1, 4)),
        hidbiases=numpy.ones((1, 3)),
    )
    assert dgmrun("model=rbm", *TINY, "weights=w.npz", "log_z", "log_z.methods=[exact]", "hydra.run.dir=c") == 0


TEXTS = (
    "first try, lr=0.1 (k=5)",
    "it's the baseline",
    "'tis 'quoted'",
    'say "x", [y] {z}: #%&~!',
    "a\\b, \\'c\\",
    "5",
    " two  spaces ",
    "Größe → 1\u00a0m",
)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_taken_as_they_are_typed(text: str) -> None:
    """By Hydra's own parser, in a run and in a sweep, once more when a job or a rank is started with what it was."""
    listed = text.replace(",", ";")
    for is_sweep in ([], ["-m"]):
        given = arguments.parse([*is_sweep, f"notes={text}", f"name={text}", f"tags=[{listed},b c]", "seed=1"])
        again = arguments.parse(given.overrides)
        for overrides in (given.overrides, again.overrides):
            parsed = [one.value() for one in OverridesParser.create().parse_overrides(overrides)]
            assert parsed == [text, text, [listed.strip(), "b c"], 1]


def test_a_text_reaches_the_results(dgmrun: Command, tmp_path: Path) -> None:
    assert (
        dgmrun("model=rbm", *TINY, "stages=[]", "hydra.run.dir=a", *(f"{key}={TEXTS[0]}" for key in ("name", "notes")))
        == 0
    )
    results = json.loads((tmp_path / "a" / "results.json").read_text())
    assert (results["name"], results["notes"]) == (TEXTS[0], TEXTS[0])


@pytest.mark.parametrize("path", ["a\\b", "a, b=(c)", "it's", "[x]", "a]"])
def test_paths_are_taken_as_they_are_typed(path: str) -> None:
    given = arguments.parse(
        [f"run={path}", f"hydra.sweep.dir={path}", f"objective.teacher=[{path.replace(',', '')},b]"]
    )
    parsed = [one.value() for one in OverridesParser.create().parse_overrides(given.overrides)]
    assert parsed == [path, path, [path.replace(",", ""), "b"]]
    assert given.run == path


def npz(**arrays: Any) -> Callable[[Path], None]:
    return lambda folder: numpy.savez(folder / "bad.npz", **arrays)


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def status(word: str) -> Callable[[Path], None]:
    """The run has ended in another way."""

    def prepare(folder: Path) -> None:
        file = folder / "run" / "results.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"status": word}))

    return prepare


def odd(folder: Path) -> None:
    """An objective for another kind of model, and one that is nowhere."""
    (folder / "mine" / "objective").mkdir(parents=True)
    (folder / "mine" / "objective" / "odd.yaml").write_text("_target_: tests_odd.Odd\n")
    (folder / "mine" / "objective" / "gone.yaml").write_text("_target_: nowhere.Gone\n")
    (folder / "mine" / "objective" / "unset.yaml").write_text("_target_: tests_odd.Odd\nk: ${oc.env:UNSET}\n")
    (folder / "tests_odd.py").write_text(
        "from typing import Protocol\n"
        "from dgmrun.objectives.contrastive.cd import CD\n"
        "class Needs(Protocol):\n    def encode(self, x):\n        ...\n"
        "class Odd(CD):\n    requires = Needs\n"
    )


def uncheckpointed(folder: Path) -> None:
    """What `dgmrun clean --checkpoints` leaves."""
    for file in (folder / "run" / "checkpoints").iterdir():
        file.unlink()


MISTAKES: list[tuple[str, str, Callable[[Path], None] | None]] = [
    ("model=rbm trian", "did you mean `train`", None),
    ("model=rbmm train", "did you mean `rbm`", None),
    ("model=rbn train", "but is rbn (did you mean `dbn` or `rbm` or `rnn` or `sbn`?)", None),
    ("train", "`model` must be given", None),
    ("model=rbm objective=pcdd", "did you mean `pcd`", None),
    ("model=rbm dataset=digit", "did you mean `digits`", None),
    ("model=rbm device=cpuu", "did you mean `cpu`", None),
    ("model=rbm model.hiden=3", "`model.hiden`", None),
    ("model=rbm modell.hidden=3", "`modell.hidden`", None),
    ("model=rbm model.hidden=abc", "`model.hidden` must be a whole number", None),
    ("model=rbm model.hidden=[5]", "hint: model.hidden=5\n", None),
    ("model=rbm report.format=jpg", "must be a list of png, pdf, svg", None),
    ("model=vae dataset=images dataset.size=12", "hint: dataset.size=[12,12]\n", None),
    ("model=rbm datset=digits", "there is no key `datset` (did you mean `dataset`?)", None),
    ("mdoel=nade dataset=digits", "hint: dgmrun model=nade train", None),
    (
        "model=rbm dataset=pyproject.toml",
        "hint: dataset=file dataset.path=pyproject.toml",
        lambda at: (at / "pyproject.toml").touch(),
    ),
    ("compre outputs", "(did you mean `compare`?)", None),
    ("compare outputs --wid", "has no --wid (did you mean `--wide`?)", None),
    ("--hlep", "(did you mean `--help`?)", None),
    ("model=nade objective=cd stages=[]", "`objective` must be one that fits the model nade", None),
    ("model=gan dataset=digits", "or dataset.binarisation=none makes it unit", None),
    ("model=rbm seed=abc", "`seed` must be a whole number", None),
    ("model=rbm optimizer.lr=fast", "`optimizer.lr` must be a number", None),
    ("model=rbm optimizer.lr=null", "`optimizer.lr` must be a number", None),
    ("model=rbm optimizer.lr=-1.0", "`optimizer.lr` must be what SGD takes, but is -1.0: Invalid learning rate", None),
    ("model=rbm optimizer.momentum=-1.0", "`optimizer.momentum` must be what SGD takes, but is -1.0", None),
    ("model=rbm +optimizer.nesterov=true", "`optimizer.nesterov` must be what SGD takes, but is True", None),
    ("model=rbm optimizer=adam optimizer.betas=[0.9,1.5]", "`optimizer.betas` must be what Adam takes, but is", None),
    ("model=rbm optimizer=adam optimizer.betas=[0.9]", "`optimizer.betas` must be what Adam takes, but is", None),
    ("model=rbm optimizer=adadelta optimizer.rho=2.0", "`optimizer.rho` must be what Adadelta takes, but is 2.0", None),
    ("model=posterior dataset.inputs=[1,2]", "a list of lists, each a list with a number in each place, but", None),
    ("model=rbm optimizer=adam optimizer.betas=0.5", "hint: optimizer.betas=[0.5,0.5]\n", None),
    ("experiment=vae_short likelihood.methods=ais", "hint: likelihood.methods=[ais]\n", None),
    ("model=rbm optimizer=adam optimizer.betas=[a,b]", "must be a list with a number in each place, but is", None),
    ("model=rbm schedule=multistep schedule.milestones=[1.5]", "a list with a whole number in each place", None),
    ("model=rbm schedule=cosine +schedule.last_epoch=5", "`schedule.last_epoch` must be what CosineAnnealingLR", None),
    ("model=rbm objective.k=1)", "`objective.k` must be a value that Hydra can read, but is 1)", None),
    ("-m model=rbm seed=1,2 objective.k=1)", "`objective.k` must be a value that Hydra can read, but is 1)", None),
    ("model=rbm schedule=linear schedule.end_factor=2.0", "`schedule.end_factor` must be what LinearLR takes", None),
    ("model=rbm schedule=linear schedule.start_factor=0.0", "`schedule.start_factor` must be what LinearLR", None),
    ("model=rbm model.hidden=0", "`model.hidden` must be at least 1", None),
    ("model=rbm model.hidden=-5", "`model.hidden` must be at least 1", None),
    ("model=rbm objective.k=0", "`objective.k` must be at least 1", None),
    ("model=rbm trainer.max_steps=0", "`trainer.max_steps` must be a whole number and at least 1", None),
    ("model=rbm trainer.max_time=soon", "`trainer.max_time`", None),
    ("model=rbm trainer.accumulate=0", "`trainer.accumulate`", None),
    ("model=rbm optimizer.ema=1.5", "`optimizer.ema`", None),
    ("model=rbm dataset.batch_size=0", "`dataset.batch_size`", None),
    ("model=rbm device=gpu", "there is no GPU", None),
    ("model=rbm train log_z log_z.methods=[aiss]", "did you mean `ais`", None),
    ("model=rbm train log_z log_z.ais.num_chains=1", "`log_z.ais.num_chains` must be at least 2", None),
    ("model=rbm train likelihood likelihood.split=tset", "did you mean `test`", None),
    ("model=rbm dataset.binarisation=none", "must be binary for an RBM", None),
    ("model=rbm dataset.binarisation=fixed", "`dataset.binarisation`", None),
    ("model=rbm dataset.transform=logit", "`dataset.transform` must be none where `dataset.binarisation` is", None),
    ("model=rbm dataset=moons dataset.transform=levels", "`dataset.transform` must be none or standardise", None),
    ("model=rbm dataset=images dataset.path=nowhere", "`dataset.path` must be a folder", None),
    ("model=rbm dataset=file", "`dataset.path` must be given", None),
    ("model=rbm dataset=file dataset.path=nowhere.npz", "nowhere.npz", None),
    ("model=rbm weights=nowhere.npz", "there is no file", None),
    ("model=rbm weights=bad.npz", "must have the parameters", npz(a=numpy.ones(3))),
    (
        "model=rbm weights=bad.npz",
        "must have the shape",
        npz(weight=numpy.ones((3, 3)), visible_bias=numpy.ones(3), hidden_bias=numpy.ones(3)),
    ),
    ("run=nowhere log_z", "must be a run directory", None),
    ("run=run model=rbm train", "`model` of a run cannot change", None),
    ("run=run optimizer.lr=1.0 train", "`optimizer.lr` of a run cannot change", None),
    ("model=rbm ~trainer", "must stay", None),
    ("model=rbm +model.foo=1", "unexpected keyword argument 'foo'", None),
    ("model=rbm stages=[dance]", "`stages` must be among", None),
    ("model=rbm hydra.run.dir=run", "must be a directory without a run", None),
    ("model=rbm 'a", "", None),
    ("-m run=run,other log_z", "`run` cannot be swept", None),
    ("-m model=rbm hydra.run.dir=a seed=1,2", "`hydra.sweep.dir`", None),
    ("-m model=rbm sample.count=3,4", "`sample.count` makes no other run", None),
    ("-m model=rbm,rbmm seed=1,2", "did you mean `rbm`", None),
    ("-m model=rbm seed=1,abc", "`seed` must be a whole number", None),
    ("-m model=rbm weights=nowhere.npz,a.npz", "nowhere.npz", None),
    ("-m model=rbm sweep.name=../x seed=1,2", "`sweep.name` must be a word", None),
    ("-m model=rbm sweep.jobs=0 seed=1,2", "`sweep.jobs`", None),
    ("-m model=rbm sweep.jobs=1,2", "`sweep.jobs` is of the sweep", None),
    ("-m model=rbm data_dir=a,b", "`data_dir` makes no other run", None),
    ("model=rbm device.num_nodes=0", "`device.num_nodes` must be a whole number and at least 1", None),
    ("clean --failed --checkpoints", "not allowed with", None),
    ("clean", "one of the arguments --failed --checkpoints", None),
    ("clean nowhere --failed", "nowhere", None),
    ("--shell-completion install=tcsh", "`--shell-completion`", None),
    ("model=rbm dataset.event.shape=[3]", "`dataset.event.shape`", None),
    ("model=rbm experiment=nothing", "`experiment` must be one of", None),
    ("model=rbm log_z", "must have train before log_z", None),
    ("model=rbm train log_z log_z.methods=[exact]", "must not have exact above 25 units", None),
    ("model=rbm train log_z log_z.methods=[]", "but has none", None),
    ("model=rbm train log_z log_z.exact.max_bits=60", "`log_z.exact.max_bits` must be from 1 to 25", None),
    ("model=rbm train log_z log_z.ais.spacing=quartic", "`log_z.ais.spacing` must be one of", None),
    ("model=rbm likelihood.split=[] train likelihood", "but has none", None),
    ("model=rbm objective=null", "`objective` must be one of", None),
    ("model=rbm device=null", "`device` must be one of", None),
    ("model=rbm trainer.max_epochs=abc", "`trainer.max_epochs` must be a whole number", None),
    ("model=rbm trainer.max_epochs=1.5", "`trainer.max_epochs` must be a whole number", None),
    ("model=rbm trainer.patience=abc", "`trainer.patience` must be a whole number", None),
    ("model=rbm optimizer.ema=abc", "`optimizer.ema`", None),
    ("model=rbm optimizer.clip_norm=abc", "`optimizer.clip_norm`", None),
    ("model=rbm optimizer.lr=nan", "`optimizer.lr`", None),
    ("model=rbm resume=foo", "`resume` must be exact or approximate", None),
    ("model=rbm +nonsense=1", "there is no key `nonsense`", None),
    ("model=rbm +objective.foo=3", "'foo'", None),
    ("model=rbm optimizer._target_=torch.load", "`optimizer._target_`", None),
    ("model=rbm model._target_=dgmrun.objectives.contrastive.cd.CD", "`model._target_`", None),
    ("model=rbm device.accelerator=tpuu", "`device` must be", None),
    ("model=rbm device.devices=0", "`device.devices`", None),
    ("model=rbm device.devices=-1", "`device.devices` must be at least 1", None),
    ("model=rbm device.strategy=ddp_spawn", "`device.strategy` must be auto or ddp, but is ddp_spawn", None),
    ("model=rbm device=multi_gpu", "there is no GPU", None),
    ("model=rbm device=ddp_cpu device.num_nodes=2", "`run` must be given where `device.num_nodes`", None),
    ("run=run device=ddp_cpu device.num_nodes=2 train", "MASTER_ADDR", None),
    ("run=run device=ddp_cpu trainer.max_steps=9 train", "`device` must give the 1 processes", None),
    ("model=rbm device.precision=foo", "`device.precision` must be 32-true, 64-true, bf16-mixed, but is foo", None),
    ("model=rbm dataset=file dataset.path=null", "`dataset.path`", None),
    ("model=rbm dataset.context=5", "`dataset.context`", None),
    ("--cfg foo model=rbm", "--cfg", None),
    ("model=rbm --nope", "there is no flag `--nope`", None),
    ("model=rbm objective.k=0 hydra.run.dir=mine", "`objective.k`", lambda folder: (folder / "mine").mkdir()),
    ("model=[rbm]", "`model` must be one of", None),
    ("model=rbm hydra.run.dir=", "`hydra.run.dir` must be a folder", None),
    ("run= log_z", "`run` must be a folder", None),
    ("model=rbm weights=", "`weights` must be a path, but is empty", None),
    ("-m model=rbm hydra.sweep.dir=", "`hydra.sweep.dir` must be a path, but is empty", None),
    ("model=rbm dataset.name=../../esc", "`dataset.name` must be a word", None),
    ("model=rbm train log_z log_z.proposal=foo", "`log_z.proposal` must be a run directory", None),
    ("run=run log_z log_z.proposal=run", "`log_z.proposal` must be another run", None),
    ("run=run log_z log_z.methods=[bridge]", "`log_z.proposal` must be given for bridge", None),
    ("model=rbm train log_z log_z.bridge.num_chains=3", "`log_z.bridge.num_chains`", None),
    ("model=nade train log_z", "`log_z` must have a model with an unnormalised density", None),
    ("model=nade train likelihood likelihood.methods=[ais]", "`likelihood.methods` must be auto or among exact", None),
    ("model=nade model.order=[1,1]", "`model.order` must be null", None),
    ("model=nade objective=pcd", "`objective` must be one that fits the model nade", None),
    ("model=nade objective=distill_kl", "`objective.teacher` must be given", None),
    ("model=nade objective=distill_kl objective.teacher=nowhere", "`objective.teacher` must be a run directory", None),
    ("model=nade objective=distill_kl objective.teacher=run", "must be a run that is done", status("failed")),
    ("model=nade objective=distill_kl objective.teacher=run", "must be a run that is done", status("running")),
    ("model=nade objective=distill_kl objective.teacher=run dataset=digits", "number of dimensions 64", None),
    ("model=rbm objective=distill_kl objective.teacher=run", "`objective` must be one that fits the model rbm", None),
    (
        "model=nade objective=distill_se objective.teacher=run objective.offset=teacher",
        "only where there is one teacher with a log Z",
        None,
    ),
    ("model=nade objective=distill_se objective.teacher=run objective.offset=zero", "`objective.offset`", None),
    ("model=nade objective=distill_mix objective.teacher=run objective.kl=-1.0", "`objective.kl`", None),
    ("model=nade objective=distill_kl objective.teacher=run trainer.max_epochs=3", "`trainer.max_epochs`", None),
    ("model=nade objective=distill_kl objective.teacher=run objective.stream.num_chains=7", "a multiple of", None),
    ("model=nade objective=distill_kl objective.teacher=run objective.stream.thin=-1", "`objective.stream.thin`", None),
    ("model=nade objective=distill_kl objective.teacher=run objective.stream.num_chains=0", "must be at least 1", None),
    ("compare run --figures run/pictures", "`--figures` must be a folder outside of runs", None),
    ("compare run --figures /proc/pictures", "`--figures` must be a folder to write to", None),
    ("model=nade objective=distill_kl objective.teacher=run hydra.run.dir=run", "a directory without a run", None),
    ("-m model=nade objective=distill_kl objective.teacher=run,nowhere", "`objective.teacher` must be a run", None),
    ("run=run log_z log_z.proposal=[run,run]", "`log_z.proposal` must be", None),
    ("model=rbm weights=[a.npz,b.npz]", "there is no file", None),
    ("model=rbm given=labels", "`given` must be null for the model rbm, which cannot be conditioned", None),
    ("model=nade given=label", "`given` must be null, labels or x", None),
    ("model=rbm log_z log_z.ais.spacing=[adaptive]", "`log_z.ais.spacing` must be a word, but is ['adaptive']", None),
    ("model=rbm log_z log_z.ais.spacing=[[adaptive]]", "`log_z.ais.spacing` must be a word, but is [['adapt", None),
    ("model=rbm log_z log_z.split=[1]", "`log_z.split`", None),
    ("model=rbm log_z log_z.ais.spacing=null", "`log_z.ais.spacing` must be a word, but is null", None),
    (
        "model=rbm optimizer.lr=${oc.env:UNSET}",
        "`optimizer.lr` must be taken from the environment variable UNSET",
        None,
    ),
    ("-m model=rbm optimizer.lr=${oc.env:UNSET},1", "`optimizer.lr` must be taken from the environment variable", None),
    ("model=${oc.env:UNSET}", "`model` must be taken from the environment variable UNSET, but that is not set", None),
    ("model=rbm stages=[${oc.env:UNSET}]", "`stages` must be taken from the environment variable UNSET", None),
    ("model=${oc.decode:rbm}", "`model` must be the name of an option", None),
    ("model=rbm optimizer.lr=${a.b.c}", "`optimizer.lr` must be a value that can be taken from where it says", None),
    ("model=rbm optimizer.lr=${nope:x}", "`optimizer.lr` must be a value that can be taken from where it says", None),
    ("model=rbm --config-dir=mine objective=unset", "`objective.k` must be taken from the environment", odd),
    (
        "model=rbm device.precision=bf16-true",
        "32-true, 64-true, bf16-mixed, but is bf16-true",
        None,
    ),
    ("model=rbm device.precision=bf16-mixed", "`device.precision` must be 32-true or 64-true for", None),
    ("model=rbm device.timeout=0", "`device.timeout` must be at least a second, but is 0", None),
    ("model=rbm device.precision=16-true", "`device.precision` must be 32-true", None),
    ("model=rbm weights=~nosuchuser/x", "there is no file", None),
    ("model=rbm dataset=dna dataset.table=../../x", "`dataset.table` must be the name", None),
    ("compare nowhere", "nowhere", None),
    ("compare --cvs", "--cvs", None),
    ("model=rbm model.hidden=1,2", "`model.hidden` must be one value", None),
    ("model=rbm --config-name=x", "there is no flag `--config-name`", None),
    ("model=rbm hydra.mode=MULTIRUN", "`hydra.mode` cannot be given", None),
    ("list modell", "modell", None),
    ("model=rbm dataset=dna data_dir=empty", "dna", lambda folder: (folder / "empty").mkdir()),
    ("model=rbm --config-dir=nowhere", "`--config-dir` must be a folder", None),
    ("model=rbm hydra.run.dir=taken/run", "`hydra.run.dir` must be a folder to write to", text("taken", "a file")),
    ("-m model=rbm hydra.sweep.dir=taken/x", "`hydra.sweep.dir` must be a folder to write to", text("taken", "a file")),
    ("model=rbm device=ddp_cpu dataset.batch_size=3", "`dataset.batch_size` must be a multiple of the 2", None),
    ("model=rbm device=ddp_cpu objective.num_chains=5", "`objective.num_chains` must be a multiple of the 2", None),
    ("model=rbm --config-dir=mine objective=odd", "one that fits the model rbm: cd, cd_policy, pcd,", odd),
    ("model=rbm --config-dir=mine objective=gone", "`_target_` must be importable", odd),
    ("run=run train trainer.max_steps=9", "must have its checkpoints to be trained on", uncheckpointed),
]


@pytest.mark.parametrize(("command", "words", "prepare"), MISTAKES, ids=[f"{n}" for n in range(len(MISTAKES))])
def test_a_mistake_is_one_line_and_exit_status_2(
    command: str,
    words: str,
    prepare: Callable[[Path], None] | None,
    trained: Path,
    dgmrun: Command,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if re.search(r"((run|dir|teacher)=|compare )run\b", command) and "-m" not in command:
        shutil.copytree(trained, tmp_path / "run")
        capsys.readouterr()
    if prepare:
        prepare(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    before = sorted(tmp_path.rglob("*"))
    assert dgmrun(*command.split()) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert "Traceback" not in errors
    assert words in errors
    assert len(errors.strip().split("\n\n")[0].splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before, "a mistake leaves nothing behind"


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory"), ImportError("x.so: failed to map segment")],
)
def test_too_little_memory_for_an_import_is_told_as_that(
    error: Exception, dgmrun: Command, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(name: str) -> None:
        raise error

    monkeypatch.setattr("dgmrun.workbench.imports.import_module", raising)
    assert dgmrun("model=rbm", "train") == 1
    assert capsys.readouterr().err.startswith("error: the machine must have memory for this command, but has not\n")


@pytest.mark.parametrize("is_here", [True, False])
def test_the_cure_of_a_module_that_is_not_found_cures(
    is_here: bool, dgmrun: Command, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is in the current folder or in another, and the configuration files elsewhere."""
    (tmp_path / "away" / "configs" / "objective").mkdir(parents=True)
    (tmp_path / "away" / "configs" / "objective" / "mine.yaml").write_text("_target_: cured_module.Mine\n")
    folder = tmp_path if is_here else tmp_path / "there"
    folder.mkdir(exist_ok=True)
    (folder / "cured_module.py").write_text("class Mine:\n    requires = int\n")
    words = ("model=rbm", "--config-dir=away/configs", "objective=mine")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "cured_module", raising=False)
    assert dgmrun(*words) == 2
    hint = capsys.readouterr().err.partition("hint: ")[2]
    assert hint.startswith("PYTHONPATH=. dgmrun" if is_here else "PYTHONPATH=FOLDER dgmrun")
    assert re.search(r"looked for in .*\baway\b", hint)
    monkeypatch.syspath_prepend(folder)
    assert dgmrun(*words) == 2
    assert "`_target_`" not in capsys.readouterr().err


WITH_TORCH = "import sys; from dgmrun.cli import main; code = main(); print('torch' in sys.modules); sys.exit(code)"


@pytest.mark.slow
def test_every_mistake_through_the_real_command(dgmrun: Command, tmp_path: Path, capsys: Any) -> None:
    """Under half a second of a processor, the best of three, but for those that need torch: they ask the model, the
    objective, the data or the device; and but for sweeps, which compose each job. `pytest -s` shows them all.
    """
    lines = []
    for number, (command, words, prepare) in enumerate(MISTAKES):
        folder = tmp_path / str(number)
        folder.mkdir()
        os.chdir(folder)
        if re.search(r"((run|dir|teacher)=|compare )run\b", command) and "-m" not in command:
            assert dgmrun("model=rbm", *TINY, "train", "hydra.run.dir=run") == 0
        if prepare:
            prepare(folder)
        environment = {**os.environ, "PYTHONPATH": str(folder), "https_proxy": "http://127.0.0.1:9"}
        took, needs_torch = [], False
        for _ in range(3):
            before = processor_time()
            argv = [sys.executable, "-c", WITH_TORCH, *command.split()]
            done = subprocess.run(argv, capture_output=True, text=True, env=environment)
            took.append(processor_time() - before)
            needs_torch = "True" in done.stdout
            assert done.returncode == 2, (command, done.stderr)
            assert done.stderr.startswith("error: "), (command, done.stderr)
            assert words in done.stderr, (command, done.stderr)
            assert "Traceback" not in done.stderr, command
            if needs_torch:
                break
        lines.append(f"{min(took):5.2f} s  {'torch' if needs_torch else '     '}  dgmrun {command}")
        assert needs_torch or command.startswith("-m") or min(took) < 0.5, lines[-1]
    with capsys.disabled():
        print("", *lines, sep="\n")


def no_network(*args: Any, **kwargs: Any) -> None:
    raise OSError("no network")


def test_damaged_weights_leave_a_finished_run_done(dgmrun: Command, run: Path) -> None:
    (run / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes()[:30])
    assert dgmrun("log_z", f"run={run}") == 2
    assert json.loads((run / "results.json").read_text())["status"] == "done"


def test_a_full_disk_is_one_line(dgmrun: Command, run: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results.json")

    monkeypatch.setattr("dgmrun.run.files.NamedTemporaryFile", full)
    capsys.readouterr()
    assert dgmrun("log_z", f"run={run}") == 1
    assert capsys.readouterr().err.startswith(f"error: {run / 'results.json'}: No space left")


def test_changed_data_are_noticed(dgmrun: Command, tmp_path: Path, capsys: Any) -> None:
    numpy.save(tmp_path / "x.npy", numpy.eye(20)[:, :5])
    tiny = [word for word in TINY if not word.startswith("dataset")]
    assert dgmrun("model=rbm", "dataset=file", "dataset.path=x.npy", *tiny, "train", "hydra.run.dir=d") == 0
    numpy.save(tmp_path / "x.npy", 1 - numpy.eye(20)[:, :5])
    assert dgmrun("likelihood", "run=d") == 2
    assert "another sha256" in capsys.readouterr().err


def test_a_run_and_its_data_may_move(dgmrun: Command, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "a").mkdir()
    numpy.save(tmp_path / "a" / "x.npy", numpy.eye(20)[:, :5])
    tiny = [word for word in TINY if not word.startswith(("dataset", "model"))]
    data = ("dataset=file", "dataset.path=a/x.npy")
    assert dgmrun("model=rbm", "model.hidden=3", *data, *tiny, "train", "hydra.run.dir=a/teacher") == 0
    student = ("model=nade", "objective=distill_kl", "objective.teacher=a/teacher", "objective.stream.num_chains=100")
    assert dgmrun(*student, *tiny, "objective.stream.burn_in=2", "hydra.run.dir=a/student") == 0

    (tmp_path / "a").rename(tmp_path / "b")  # together
    through = ("log_z.methods=[importance]", "log_z.proposal=b/student", "log_z.importance.num_samples=200")
    assert dgmrun("log_z", "run=b/teacher", *through, "log_z.importance.num_chains=100") == 0
    assert dgmrun("train", "likelihood", "trainer.max_steps=5", "run=b/student") == 0
    results = json.loads((tmp_path / "b" / "student" / "results.json").read_text())
    assert (results["train"]["steps"], list(results["log_z"])) == (5, ["importance"])

    for name, place in (("x.npy", "c"), ("teacher", "d"), ("student", "e")):  # each by itself
        (tmp_path / place).mkdir()
        (tmp_path / "b" / name).rename(tmp_path / place / name)
    capsys.readouterr()
    assert dgmrun("likelihood", "run=e/student") == 2
    assert "dataset.path" in capsys.readouterr().err
    assert dgmrun("likelihood", "sample", "run=e/student", "dataset.path=c/x.npy") == 0
    assert "no teacher is shown" in capsys.readouterr().err
    assert dgmrun("train", "trainer.max_steps=6", "run=e/student", "objective.teacher=d/teacher") == 0
    assert dgmrun("train", "trainer.max_steps=7", "run=e/student") == 0  # as given last

    numpy.save(tmp_path / "c" / "x.npy", 1 - numpy.eye(20)[:, :5])
    capsys.readouterr()
    assert dgmrun("likelihood", "run=e/student") == 2
    assert "another sha256" in capsys.readouterr().err


def test_grey_levels_are_never_scored(dgmrun: Command, tmp_path: Path) -> None:
    numpy.save(tmp_path / "x.npy", numpy.random.default_rng(0).random((30, 4)))
    tiny = [word for word in TINY if not word.startswith("dataset")]
    command = ("model=rbm", "dataset=file", "dataset.path=x.npy", "dataset.binarisation=dynamic", *tiny)
    split = "likelihood.split=[train,test]"
    assert dgmrun(*command, "train", "likelihood", split, "likelihood.methods=[exact]", "hydra.run.dir=e") == 0
    log_prob = numpy.load(tmp_path / "e" / "per_example" / "train-exact.npz", allow_pickle=False)["log_prob"]
    assert len({round(float(value), 9) for value in log_prob}) <= 2**4


def test_a_run_in_training_is_refused(dgmrun: Command, run: Path, capsys: Any) -> None:
    from dgmrun.run.directory import Run

    with Run.open(run).training():
        assert dgmrun("train", f"run={run}", "trainer.max_steps=5") == 2
    assert "a live process is training" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--help"], ["--version"], ["list"]])
def test_help_and_the_like_need_no_run(argv: list[str], dgmrun: Command, capsys: Any) -> None:
    assert dgmrun(*argv) == 0
    assert "dgmrun" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_a_tool_has_a_help_of_its_own(flag: str, dgmrun: Command, capsys: Any) -> None:
    with pytest.raises(SystemExit) as left:
        dgmrun("compare", flag)
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("usage: dgmrun compare")


def test_mistakes_and_help_answer_at_once() -> None:
    """Well under a second of processor time on a warm machine: the best of three, as machines are shared."""
    for argv in (["--help"], ["model=rbmm"], ["model=rbm", "trian"], ["model=rbm", "trainer.max_steps=0"]):
        assert min(seconds(argv) for _ in range(3)) < 1.0, argv


def seconds(argv: list[str]) -> float:
    """Processor time of the command."""
    before = processor_time()
    subprocess.run([sys.executable, "-m", "dgmrun", *argv], capture_output=True, check=False)
    return processor_time() - before


def processor_time() -> float:
    """Seconds of every process that was started here and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("given", [{}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}])
def test_waiting_threads_leave_their_cores_to_others_unless_the_user_wants_them(given: dict[str, str]) -> None:
    code = """import os, sys; from dgmrun import cli
sys.argv[1:] = ['--version']; cli.main(); print(os.environ.get('GOMP_SPINCOUNT'))"""
    environment = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment |= given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    expected = "None" if "OMP_WAIT_POLICY" in given else given.get("GOMP_SPINCOUNT", "1000")
    assert done.stdout.split()[-1] == expected
