"""The stage `gradients` through the command line: what it finds of estimators whose bias is known, and refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Adam

import dgmrun as package
from dgmrun.data.source import InMemorySource
from dgmrun.gradients.exact import bound
from dgmrun.models.deep_nade import DeepNADE
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.mle import MLE
from dgmrun.objectives.mle_orderless import MLEOrderless
from dgmrun.objectives.variational.vimco import VIMCO
from dgmrun.pictures.gradients import draw_sizes
from dgmrun.protocols.values import Batch, Event
from dgmrun.report.gradients import NOISY, of_one, table_of_sizes
from dgmrun.run.figures import Figure
from dgmrun.stages.gradients import batches
from dgmrun.stages.gradients.measure import Truth
from tests.binary import gradient, sbn
from tests.conftest import BINARY
from tests.figure import entry

Command = Callable[..., int]
SBN = ("model=sbn", "model.hidden=[2,1]", *BINARY, "trainer.max_steps=20", "hydra.run.dir=run")
UNBIASED, BIASED = ("reinforce", "nvil", "muprop", "rebar", "relax"), ("wake_sleep", "concrete")
CHANCE = 4.5
"""The length of an unbiased mean error is above so many expected ones with a probability below 1e-4, whatever the
spectrum of the noise: that of Student's t with 50 degrees of freedom, two-sided, is 4e-5."""
OF_LOG = 5.5
"""The log variance of 600 batches of a coin is off by more than so many of its errors with a probability below 2e-5:
none of 200,000 simulated was, for each of 12, 14, 16 and 18 ones of 20, and 1 and 5 examples."""


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
    model, x = sbn([2, 1]), torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    one, batch = VIMCO(model, Optimization(partial(Adam, lr=1e-3)), k=2), Batch(x, torch.arange(2))
    expected = [gradient(model, -bound(partial(model.trace, x), x, model.hidden, k).mean()) for k in (1, 2)]
    for is_kept in (False, True):
        torch.testing.assert_close(Truth(one, 6, is_kept)(batch), expected[1])
    assert (expected[1] - expected[0]).abs().max() > 0.01
    assert Truth(one, 5, is_kept=False)(batch) is None


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
        (
            ("model=nade", *BINARY, "gradients.batch_sizes=[1,6]"),
            "whole numbers from 1 to 5, below the 6 training",
        ),
        (("model=nade", *BINARY, "gradients.batch_sizes=[9]"), "hint: gradients.batch_sizes=[1]"),
        (
            ("model=nade", "dataset=coin", "dataset.sizes=[1,1,1]", "gradients.batch_sizes=[1]"),
            "`gradients.batch_sizes` must be null where there is one training example",
        ),
        (("model=nade", *BINARY, "gradients.batch_sizes=[]"), "`gradients.batch_sizes` must be null or whole numbers"),
        (("model=nade", *BINARY, "gradients.batch_sizes=1.5"), "`gradients.batch_sizes` must be null or whole numbers"),
        (
            ("model=rbm", *BINARY, "gradients.batch_sizes=[1]"),
            "for gradients.batch_sizes, but is pcd",
        ),
        (
            ("model=made", "model.masks=2", *BINARY, "gradients.batch_sizes=[1]"),
            "`model` must have one order for gradients.batch_sizes",
        ),
        (
            (
                *(f"model=realnvp model.norm=batch {' '.join(BINARY)} dataset.event.kind=unit".split()),
                "gradients.batch_sizes=[1]",
            ),
            "`model` must have no batch normalisation for gradients.batch_sizes",
        ),
        ((*SBN, "gradients.batch_sizes=[1]", "gradients.methods=nvil"), "`gradients.methods` must be auto"),
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


def test_the_variance_of_batches_falls_as_their_number_of_examples_and_as_those_left_out(dgmrun: Command) -> None:
    """The gradient of a coin's logit is p less the frequency of ones in the batch."""
    num, sizes = 20, (1, 5, 19)
    coin = ("experiment=coin", f"dataset.sizes=[{num},5,5]", f"dataset.batch_size={num}", "trainer.max_steps=1")
    words = (f"gradients.batch_sizes=[{','.join(map(str, sizes))}]", "gradients.num_samples=600", "hydra.run.dir=run")
    assert dgmrun(*coin, "train", "gradients", *words) == 0
    frequency = package.load("run").data("train").double().mean()
    variance = float(frequency * (1 - frequency))
    every = found()
    assert list(every) == [f"n={size}" for size in sizes]
    for size, each in zip(sizes, every.values(), strict=True):
        truth = math.log(variance / size * (num - size) / (num - 1))
        assert abs(each["value"] - truth) < OF_LOG * each["standard_error"]
        assert (each["examples"], each["settings"]["objective"], each["quantity"]) == (size, "mle", "log_variance")
    assert Path("run/figures/batch_sizes.png").exists()


def exactly(x: torch.Tensor, size: int, is_noisy: bool = False, error: float = 0.1) -> Figure:
    """The figure of all batches of so many examples, whose gradients are x."""
    variance = float(
        torch.stack([x[list(rows)].mean() for rows in combinations(range(len(x)), size)]).var(correction=0)
    )
    ends = (math.log(variance) - 3 * error, math.log(variance) + 3 * error)
    settings = {"objective": "mle", "batch_size": size, "of": len(x), "is_noisy": is_noisy}
    diagnostics = {"signal_to_noise": 0.5, "milliseconds": 1.0}
    parts = {"examples": size, "interval": ends, "settings": settings, "diagnostics": diagnostics}
    return Figure.from_json(entry("log_variance", math.log(variance), "a", **parts, standard_error=error))


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_the_law_is_that_of_all_batches(error: float) -> None:
    """Every batch that there is, of 7 gradients: each size implies the variance of one; lines follow."""
    x = torch.randn(7, dtype=torch.float64)
    figures = [exactly(x, size, error=error) for size in range(1, 7)]
    single = float(x.var(correction=0))
    assert [of_one(figure)[0] for figure in figures] == pytest.approx([single] * 6)
    (axes,) = draw_sizes(figures).axes
    inverse, law = axes.lines[:2]
    for (n, y), (_, least) in zip(inverse.get_xydata(), law.get_xydata(), strict=True):
        assert n * y == pytest.approx(single)
        assert least == pytest.approx(y * (7 - n) / 6)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [line.split()[0] for line in table_of_sizes(figures).splitlines()[2:]] == list("123456")


def test_the_law_errs_as_often_up_as_down() -> None:
    """An error is in proportion to its estimate: weights of their own size would prefer the small ones."""
    low, high = (exactly(torch.tensor([-x, x]), 1, error=0.1) for x in (0.5, 2.0))
    inverse = draw_sizes([low, high]).axes[0].lines[0]
    assert inverse.get_ydata()[0] == pytest.approx(1)


def test_noise_of_the_objective_leaves_the_variance_of_one_unsaid() -> None:
    figures = [exactly(torch.tensor([1.0, 2.0, 4.0]), size, is_noisy=True) for size in (1, 2)]
    shown = table_of_sizes(figures)
    assert "variance of one" not in shown.splitlines()[0]
    assert shown.endswith(NOISY)
    line = draw_sizes(figures).axes[0].lines[0]
    first = math.exp(figures[0].value)
    assert line.get_ydata() == pytest.approx([first, first / 2])


@pytest.mark.parametrize(
    ("kind", "model", "draw", "expected"),
    [
        (MLE, {"orders": 3}, None, False),
        (MLE, {}, torch.bernoulli, True),
        (MLEOrderless, {}, None, True),
    ],
)
def test_noise_is_what_differs_on_the_same_examples(
    kind: type[Objective], model: dict[str, int], draw: Callable[[torch.Tensor], torch.Tensor] | None, expected: bool
) -> None:
    objective = kind(DeepNADE(Event((3,), "binary"), hidden=[2], **model), Optimization(partial(Adam, lr=1e-3)))
    source = InMemorySource(torch.rand(6, 3).round(), None, 4, seed=0, draw=draw)
    assert batches.is_noisy(objective, source, 0) is expected
