"""The stage `gradients` through the command line: what it finds of estimators whose bias is known, and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Adam

from dgmrun.gradients.exact import bound
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.vimco import VIMCO
from dgmrun.protocols.values import Batch
from dgmrun.stages.gradients.measure import truth
from tests.binary import gradient, sbn
from tests.conftest import BINARY

Command = Callable[..., int]
SBN = ("model=sbn", "model.hidden=[2,1]", *BINARY, "trainer.max_steps=20", "hydra.run.dir=run")
UNBIASED, BIASED = ("reinforce", "nvil", "muprop", "rebar", "relax"), ("wake_sleep", "concrete")
CHANCE = 4.5
"""The length of an unbiased mean error is above so many expected ones with a probability below 1e-4, whatever the
spectrum of the noise: that of Student's t with 50 degrees of freedom, two-sided, is 4e-5."""


def found(run: str = "run") -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(Path(run, "results.json").read_text())["gradients"]
    return entries


@pytest.mark.parametrize(("methods", "num"), [(UNBIASED, 100), (BIASED, 400)])
def test_bias_is_found_where_there_is_one(methods: tuple[str, ...], num: int, dgmrun: Command) -> None:
    which = (f"gradients.methods=[{','.join(methods)}]", f"gradients.num_samples={num}", "gradients.tuning=50")
    assert dgmrun(*SBN, "train", "gradients", *which) == 0
    bias = {name: each["diagnostics"] for name, each in found().items()}
    ratio = {name: each["bias"] / each["bias_by_chance"] for name, each in bias.items()}
    assert ratio.keys() == {*methods}
    assert all((ratio[name] > CHANCE) == (methods is BIASED) for name in methods)


def test_every_estimator_is_measured(dgmrun: Command) -> None:
    assert dgmrun(*SBN, "train", "gradients", "gradients.num_samples=20", "gradients.tuning=2") == 0
    every = found()
    assert set(every) == {*UNBIASED, *BIASED, "vimco", "rws"}
    unknown = {name for name, each in every.items() if each["diagnostics"]["bias"] is None}
    assert unknown == {"vimco", "rws"}, "three units, five samples: too many"
    for name, each in every.items():
        assert (each["unit"], each["kind"], each["split"]) == ("log variance", "estimate", "train")
        assert each["settings"]["bound"] == ("L_5" if name in ("vimco", "rws") else "elbo")
    assert Path("run/figures/gradients.png").exists()


def test_the_truth_of_several_samples_is_that_of_their_bound() -> None:
    model, x = sbn([2, 1]), torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    one, batch = VIMCO(model, Optimization(partial(Adam, lr=1e-3)), k=2), Batch(x, torch.arange(1))
    expected = [gradient(model, -bound(partial(model.trace, x), x, model.hidden, k).mean()) for k in (1, 2)]
    torch.testing.assert_close(truth(one, batch, 6), expected[1])
    assert (expected[1] - expected[0]).abs().max() > 0.01
    assert truth(one, batch, 5) is None


def test_what_is_measured_beside_an_estimator_changes_nothing_of_it(dgmrun: Command) -> None:
    short = ("gradients", "gradients.num_samples=20", "gradients.tuning=0")
    assert dgmrun(*SBN, "train", *short) == 0
    alone = found()["reinforce"]
    assert dgmrun("run=run", *short, "gradients.methods=reinforce") == 0
    assert found()["reinforce"]["value"] == alone["value"]


def test_a_model_of_real_latents_has_those_that_fit_it(dgmrun: Command) -> None:
    vae = ("model=vae", "model.latent=[2]", "model.hidden=[4]", *BINARY, "trainer.max_steps=3", "hydra.run.dir=run")
    assert dgmrun(*vae, "train", "gradients", "gradients.num_samples=20", "gradients.tuning=2") == 0
    every = found()
    assert set(every) == {"elbo", "iwae", "reinforce", "nvil", "vimco", "wake_sleep", "rws"}
    assert all(each["diagnostics"]["bias"] is None for each in every.values())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=nade", *BINARY), "`gradients` must have a latent variable model"),
        ((*SBN, "gradients.methods=[nvil,rebrar]"), "`gradients.methods` must be auto or among"),
        ((*SBN, "gradients.methods=[]"), "`gradients.methods` must be auto or among"),
        ((*SBN, "gradients.lr=0"), "`gradients.lr` must be positive"),
        ((*SBN, "gradients.num_samples=3"), "`gradients.num_samples` must be a whole number and at least 20"),
        ((*SBN, "model.posterior=darn", "gradients.methods=muprop"), "`model.posterior` must be factorised"),
        (("model=vae", *BINARY, "model.posterior=local"), "`model.posterior` must be amortised for gradients"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_run_is_made(
    overrides: tuple[str, ...], message: str, dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun(*overrides, "train", "gradients") == 2
    assert message in capsys.readouterr().err
    assert not Path("run/results.json").exists()
