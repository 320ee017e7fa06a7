"""Deep belief networks against the machines that they are made of, and against enumeration."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import chi2
from torch import Tensor

from dgmrun.data.source import InMemorySource
from dgmrun.estimators import enumeration, sampling
from dgmrun.estimators.joint import Guided, Joint
from dgmrun.latent.bounds import elbo
from dgmrun.latent.draws import given, sampled
from dgmrun.models import DBN, RBM
from dgmrun.nn.binary import Bernoulli, bits
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.distillation.stream import StreamSettings, TeacherStream
from dgmrun.objectives.variational.up_down import UpDown
from dgmrun.protocols.values import Batch, Event
from dgmrun.run import weights

Command = Callable[..., int]
X = bits(torch.arange(16), 4).double()
"""Every x."""


def dbn(*hidden: int) -> DBN:
    """Of x with 4 units, its parameters far from 0, recognition untied."""
    model = DBN(Event((4,), "binary"), hidden).double().requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(std=0.8)
    return model


def states(model: DBN) -> list[Tensor]:
    """Every state of h_1 to h_{L-1}, a tensor [states, 1, units] for each layer."""
    every = [
        bits(torch.arange(2**units), units).double() for units in (len(layer.hidden_bias) for layer in model.layers)
    ]
    rows = list(product(*every))
    return [torch.stack(layer).unsqueeze(1) for layer in zip(*rows, strict=True)]


def log_p(model: DBN) -> Tensor:
    """log p(x) of every x, from its definition."""
    every = states(model)
    log_f = model.rbm.log_unnormalised(every[-1][:, 0]) - enumeration.log_masses(model.rbm).logsumexp(0)
    for layer, below, above in zip(list(model.layers)[1:], every, every[1:], strict=False):
        log_f = log_f + Bernoulli(layer.down(above)).log_prob(below).sum(-1)[:, 0]
    log_px = Bernoulli(model.layers[0].down(every[0])).log_prob(X).sum(-1)
    return (log_px + log_f[:, None]).logsumexp(0)


def expanded(model: DBN, x: Tensor) -> list[Tensor]:
    """Every state of the layers, beside each x."""
    return [z.expand(-1, len(x), -1) for z in states(model)]


def test_a_tied_second_layer_leaves_the_machine_below_what_it_is() -> None:
    """W_2 = W_1', biases tied: with the posterior of the machine, the bound is its log p(x), for any draw of h."""
    rbm = RBM(Event((4,), "binary"), 3, weight_std=1.0).double().requires_grad_(False)
    for bias in (rbm.visible_bias, rbm.hidden_bias):
        bias.normal_()
    model = dbn(3, 4)
    model.layers[0].load_state_dict({**rbm.state_dict(), "recognition_weight": rbm.weight})
    names = {"weight": rbm.weight.t(), "visible_bias": rbm.hidden_bias, "hidden_bias": rbm.visible_bias}
    model.rbm.load_state_dict(names)
    log_w = model.trace(X, sampled(20)).log_w - enumeration.log_masses(model.rbm).logsumexp(0)
    exact = rbm.log_unnormalised(X) - enumeration.log_masses(rbm).logsumexp(0)
    torch.testing.assert_close(log_w, exact.expand(20, -1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("hidden", [(3, 2), (2, 3, 2)])
def test_probabilities_sum_to_1_and_bounds_are_below_them(hidden: tuple[int, ...]) -> None:
    """The sum of q w over every h is p(x), and the bound is short by KL(q(h | x) || p(h | x))."""
    model = dbn(*hidden)
    exact = log_p(model)
    assert float(exact.logsumexp(0)) == pytest.approx(0, abs=1e-12)
    trace = model.trace(X, given(expanded(model, X)))
    log_q, log_z = sum(trace.log_q), enumeration.log_masses(model.rbm).logsumexp(0)
    torch.testing.assert_close((log_q + trace.log_w).logsumexp(0) - log_z, exact, rtol=0, atol=1e-10)
    bound = (log_q.exp() * elbo(trace)).sum(0) - log_z
    divergence = (log_q.exp() * (log_q - (log_q + trace.log_w).log_softmax(0))).sum(0)
    torch.testing.assert_close(bound + divergence, exact, rtol=0, atol=1e-10)
    assert (divergence > 0).all()


def test_samples_follow_the_model_by_either_way() -> None:
    """Frequencies of 20,000 samples, and of a stream for students: chi-square, false alarms 1e-5."""
    model = dbn(2, 3, 2)
    chains = StreamSettings(num_chains=20_000, burn_in=20)
    stream = TeacherStream(model, chains, InMemorySource(X, None, 1000, 0))
    streamed = torch.cat([batch.x for batch, _ in zip(stream, range(20), strict=True)])
    expected = 20_000 * log_p(model).exp()
    for x in (sampling.samples(model, 20_000, X, burn_in=20), streamed):
        counts = torch.bincount((x @ torch.tensor([1.0, 2, 4, 8]).double()).long(), minlength=16)
        assert float(((counts - expected) ** 2 / expected).sum()) < chi2.isf(1e-5, 15)


def test_a_stream_of_a_belief_net_goes_on_to_the_bit() -> None:
    model, settings = dbn(2, 3), StreamSettings(num_chains=32, burn_in=3)
    first, second = (TeacherStream(model, settings, InMemorySource(X, None, 8, 0)) for _ in range(2))
    for _ in range(3):
        first.draw()
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(first.draw().x, second.draw().x) for _ in range(6))


def transition(rbm: RBM, v: Tensor) -> Tensor:
    """p(v' | v) of a Gibbs sweep, [states, states]."""
    h = bits(torch.arange(2 ** len(rbm.hidden_bias)), len(rbm.hidden_bias)).double()
    to_h = Bernoulli(rbm.hidden_logits(v)).log_prob(h[:, None]).sum(-1).t().exp()
    return to_h @ Bernoulli(rbm.visible_logits(h)).log_prob(v[:, None]).sum(-1).t().exp()


def enumerated(model: DBN, x: Tensor, k: int) -> Tensor:
    """The expected surrogate of the up-down algorithm on one x, whose gradient is the expected one."""
    every = expanded(model, x)
    trace = model.trace(x, given(every))
    q = sum(trace.log_q)[:, 0].detach().exp()
    wake = -(q * sum(trace.log_p[:-1])[:, 0]).sum()
    tops = bits(torch.arange(2 ** len(model.rbm.visible_bias)), len(model.rbm.visible_bias)).double()
    number = (every[-1][:, 0, None] == tops).all(-1).double()
    start = q @ number
    end = (start @ torch.linalg.matrix_power(transition(model.rbm, tops), k)).detach()
    top = (end - start) @ model.rbm.log_unnormalised(tops)
    dreams = model.trace(X, given(expanded(model, X)))
    descent = sum(dreams.log_p[:-1]).detach().exp() * (number @ end)[:, None]
    assert float(descent.sum()) == pytest.approx(1, abs=1e-12)
    return wake + top - (descent * sum(dreams.log_q)).sum()


@pytest.mark.parametrize("hidden", [(3, 2), (2, 2, 2)])
def test_the_gradient_of_up_down_is_the_enumerated_one_in_the_mean(hidden: tuple[int, ...]) -> None:
    """60 batches of 500 copies of one x: within 4.7 standard errors, as these are of 60 values, of every parameter."""
    model = dbn(*hidden).requires_grad_(True)
    objective = UpDown(model, Optimization(partial(torch.optim.SGD, lr=0.1)), k=2)
    parameters = list(model.parameters())
    x = X[5:6]
    exact = torch.cat([part.flatten() for part in torch.autograd.grad(enumerated(model, x, 2), parameters)])
    batch = Batch(x.expand(500, -1), torch.arange(500))
    found = torch.stack(
        [
            torch.cat([part.flatten() for part in torch.autograd.grad(objective.loss(batch)[0], parameters)])
            for _ in range(60)
        ]
    )
    assert ((found.mean(0) - exact).abs() < 4.7 * found.std(0) / math.sqrt(60)).all()


def test_layers_start_from_machines_with_weights_that_go_both_ways(tmp_path: Path) -> None:
    model, rbm = DBN(Event((4,), "binary"), [3, 2]), RBM(Event((4,), "binary"), 3, weight_std=1.0)
    save_file(rbm.state_dict(), tmp_path / "rbm.safetensors")
    weights.load(model.stack()[0], weights.read(tmp_path / "rbm.safetensors"), tmp_path)  # type: ignore[arg-type]
    layer = model.layers[0]
    assert torch.equal(layer.weight, rbm.weight)
    assert torch.equal(layer.recognition_weight, rbm.weight)
    assert layer.recognition_weight.data_ptr() != layer.weight.data_ptr()
    torch.testing.assert_close(torch.sigmoid(rbm.hidden_logits(X.float())), torch.sigmoid(layer.up(X.float())))


def results(run: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(run, "results.json").read_text())
    return content


def test_machines_are_stacked_from_the_command_line(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Each trained on the hidden units of the one below; the network has their weights, and log Z of the upper one."""
    short = ("trainer.max_steps=3", "log_z.methods=[exact]")
    assert dgmrun("model=rbm", "model.hidden=4", *short, "train", "hidden", "hydra.run.dir=one") == 0
    with numpy.load("one/hidden.npz") as written:
        assert written["x"].shape == (1797, 4)
    of_hidden = ("dataset=file", "dataset.path=one/hidden.npz", "dataset.binarisation=dynamic")
    assert dgmrun("model=rbm", "model.hidden=3", *of_hidden, *short, "train", "log_z", "hydra.run.dir=two") == 0
    net = ("model=dbn", "model.hidden=[4,3]", *short)
    assert dgmrun(*net, "weights=[one,two]", "log_z", "hydra.run.dir=net") == 0
    assert results("net")["log_z"]["exact"]["value"] == results("two")["log_z"]["exact"]["value"]
    assert [given["role"] for given in results("net")["inputs"]] == ["weights", "weights"]
    found, one = (load_file(f"{run}/weights.safetensors") for run in ("net", "one"))
    assert torch.equal(found["layers.0.recognition_weight"], one["weight"])
    capsys.readouterr()
    assert dgmrun(*net, "weights=[one,two,two]", "log_z", "hydra.run.dir=no") == 2
    assert "`weights` must be 2 for the model dbn, bottom first, but are 3" in capsys.readouterr().err
    assert dgmrun("model=nade", *short, "train", "hidden", "hydra.run.dir=no") == 2
    assert "`hidden` must have a model of one layer of binary hidden units" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("event", "hidden", "said"),
    [
        (Event((4,), "real"), [3, 2], "`dataset` must be binary for a deep belief network, but is real"),
        (Event((4,), "binary"), [3], "`model.hidden` must be a list of sizes above 0, of two layers or more"),
        (
            Event((4,), "binary"),
            [3, 0],
            "`model.hidden` must be a list of sizes above 0, of two layers or more, but is",
        ),
    ],
)
def test_refuses(event: Event, hidden: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DBN(event, hidden)


def test_up_down_refuses_no_step() -> None:
    with pytest.raises(ValueError, match=r"`objective\.k` must be at least 1, but is 0"):
        UpDown(dbn(2, 2), Optimization(partial(torch.optim.SGD, lr=0.1)), k=0)


def test_a_joint_density_of_x_and_layers_has_the_log_z_of_the_top() -> None:
    """Sums of f and q over every state; walks leave the joint invariant: 4 standard errors of every unit's mean."""
    model = dbn(2, 3, 2)
    q = RBM(Event((4,), "binary"), 2, weight_std=1.0).double().requires_grad_(False)
    normalised = Normalised(q)
    joint = Joint(model, X[:1])
    every = bits(torch.arange(2**9), 9).double()
    truth = enumeration.log_masses(model.rbm).logsumexp(0)
    torch.testing.assert_close(joint.log_unnormalised(every).logsumexp(0), truth)
    guided = Guided(normalised, joint)
    assert float(guided.log_prob(every).logsumexp(0)) == pytest.approx(0, abs=1e-12)
    num, mean = 20_000, joint.log_unnormalised(every).softmax(0) @ every
    start = every[torch.multinomial(joint.log_unnormalised(every).softmax(0), num, replacement=True)]
    for x in (start, joint.walk(start, 2)):
        assert ((x.mean(0) - mean).abs() < 4 * x.std(0) / math.sqrt(num)).all()
    of_q = guided.log_prob(every).exp() @ every
    x = guided.sample(num)
    assert ((x.mean(0) - of_q).abs() < 4 * x.std(0) / math.sqrt(num)).all()


class Normalised(torch.nn.Module):
    """An enumerated machine as a tractable density of x."""

    def __init__(self, rbm: RBM) -> None:
        super().__init__()
        self.rbm = rbm

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        return self.rbm.log_unnormalised(x) - enumeration.log_masses(self.rbm).logsumexp(0)

    def sample(self, num: int, context: None = None) -> Tensor:
        return enumeration.samples(self.rbm, num)


def test_a_student_measures_log_z_of_the_top(dgmrun: Command) -> None:
    """Through q(x) q(h | x) of its own and the teacher's: within 4 standard errors of enumeration."""
    few = ("log_z.importance.num_samples=1000", "log_z.importance.num_chains=200", "log_z.importance.burn_in=20")
    same = [word.replace("importance", "bridge") for word in few]
    chains = ("objective.stream.num_chains=200", "objective.stream.burn_in=20", "optimizer=adam", "optimizer.lr=0.01")
    data = ("dataset=bars_and_stripes", "dataset.side=2", "dataset.event.shape=[1,2,2]", "dataset.batch_size=4")
    exact = ("log_z", "log_z.methods=[exact]", "hydra.run.dir=net")
    assert dgmrun("model=dbn", "model.hidden=[3,2]", *data, "trainer.max_steps=30", "train", *exact) == 0
    net = ("objective.teacher=net", "objective=distill_kl", "trainer.max_steps=50", "model=nade", "model.hidden=4")
    assert dgmrun(*net, *data, *chains, *few, *same, "train", "log_z", "hydra.run.dir=student") == 0
    found = results("net")["log_z"]
    assert {"exact", "importance", "bridge"} <= found.keys()
    for name in ("importance", "bridge"):
        assert abs(found[name]["value"] - found["exact"]["value"]) < 4 * found[name]["standard_error"] + 1e-6
