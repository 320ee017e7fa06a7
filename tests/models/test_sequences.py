"""Models of sequences, found by their YAML: normalised, looking back only, sampled as if all were computed anew."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import yaml
from scipy.stats import chi2
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from dgmrun.models.parallel_wavenet import ParallelWaveNet
from dgmrun.models.wavenet import WaveNet
from dgmrun.nn.causal_network import packed, padded
from dgmrun.nn.observation import LEAST_SCALE
from dgmrun.nn.recurrent import CELLS
from dgmrun.nn.sequence import AutoregressiveSequence
from dgmrun.paths import options
from dgmrun.protocols.values import Event
from dgmrun.workbench import build

SETTINGS = {name: yaml.safe_load(file.read_text())["model"] for name, file in options("model").items()}
CLASSES = {name: build.target(node) for name, node in SETTINGS.items()}
SIZES: dict[str, Any] = {"hidden": 5, "channels": 5, "skip": 6, "embedding": 4}
CASES = [
    (name, {**{key: size for key, size in SIZES.items() if key in SETTINGS[name]}, **more})
    for name, found in CLASSES.items()
    if issubclass(found, AutoregressiveSequence)
    for more in (
        [{"cell": cell, "layers": 2} for cell in CELLS]
        if "cell" in SETTINGS[name]
        else [{"layers": 3}, {"layers": 2, "blocks": 2, "kernel": 3}]
    )
]
KINDS = pytest.mark.parametrize(
    ("name", "settings"), CASES, ids=[f"{n}-{'-'.join(map(str, m.values()))}" for n, m in CASES]
)
CLASS = Event((), "categorical", 2)
STRINGS = torch.tensor(
    [[*word, *[0] * (6 - length)] for length in range(7) for word in itertools.product((1, 2, 3), repeat=length)]
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def made(name: str, settings: dict[str, Any], event: Event, **more: Any) -> AutoregressiveSequence:
    """A small model in float64 with weights that matter."""
    model: AutoregressiveSequence = CLASSES[name](event=event, **settings, **more).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def told(x: Tensor, y: int) -> Tensor:
    return torch.full((len(x),), y)


@KINDS
def test_all_strings_up_to_six_of_three_symbols_sum_to_one(name: str, settings: dict[str, Any]) -> None:
    model = made(name, settings, Event((6,), "tokens", 4), context=CLASS)
    each = torch.stack([model.log_prob(STRINGS, told(STRINGS, y)) for y in range(2)])
    assert each.logsumexp(1).abs().max() < 1e-10
    assert (each[0] - each[1]).abs().max() > 1e-2, "the context is not looked at"


@pytest.mark.parametrize(("kind", "size", "values"), [("levels", 3, 3), ("categorical", 3, 3), ("binary", None, 2)])
@KINDS
def test_all_sequences_of_one_length_sum_to_one(
    name: str, settings: dict[str, Any], kind: str, size: int | None, values: int
) -> None:
    event = Event((5,), kind, size)
    x = torch.tensor(list(itertools.product(range(values), repeat=5))).to(
        torch.float64 if kind == "binary" else event.dtype
    )
    assert made(name, settings, event).log_prob(x).logsumexp(0).abs() < 1e-10


@KINDS
def test_log_p_of_real_vectors_is_that_of_their_gaussians(name: str, settings: dict[str, Any]) -> None:
    """Step by step; and a density of other units is another by the logarithm of the unit."""
    model, x = made(name, settings, Event((4, 3), "real")), torch.randn(200, 4, 3).double()
    found, step, before = torch.zeros(200), model.network.cached(200), torch.zeros(200, 4).double()
    for t in range(4):
        mean, log_scale = model.head(step(before)).unflatten(1, (3, 2)).unbind(2)
        found = found + torch.distributions.Normal(mean, log_scale.exp() + LEAST_SCALE).log_prob(x[:, t]).sum(1)
        before = torch.cat((x[:, t], torch.ones(200, 1)), 1)
    torch.testing.assert_close(model.log_prob(x), found)
    model.standardise.fit(x.flatten(0, 1))
    found = model.log_prob(x)
    model.standardise.fit(1000 * x.flatten(0, 1) + 7)
    torch.testing.assert_close(model.log_prob(1000 * x + 7), found - 12 * torch.tensor(1000.0).double().log())
    first = model.log_prob(x[:1].index_fill(1, torch.tensor(3), 0.0)), model.log_prob(x[:1])
    assert first[0] != first[1]


@KINDS
def test_what_is_alike_in_each_batch_is_alike_alone(name: str, settings: dict[str, Any]) -> None:
    """Lengths differ: no string has a part in another, and what follows an end has none at all."""
    model, x = made(name, settings, Event((6,), "tokens", 4)), STRINGS[torch.randperm(len(STRINGS))[:50]]
    alone = torch.cat([model.log_prob(one[None]) for one in x])
    torch.testing.assert_close(model.log_prob(x), alone)


@KINDS
def test_features_of_a_step_depend_on_inputs_up_to_it_alone(name: str, settings: dict[str, Any]) -> None:
    """Jacobian of features in inputs; of WaveNet, as far back as the receptive field says, and no farther."""
    model, length = made(name, settings, Event((20,), "levels", 3)), 20
    inputs = torch.randn(30, length, model.inputs, dtype=torch.float64)

    def features(inputs: Tensor) -> Tensor:
        seen = packed(inputs, torch.full((30,), length))
        return padded(model.network(seen), seen).sum((0, 2))

    found = torch.autograd.functional.jacobian(features, inputs).abs().sum((1, 3))  # [step, input]
    reach = model.receptive_field() if isinstance(model, WaveNet) else length
    back = torch.arange(length)[:, None] - torch.arange(length)
    assert found[(back < 0) | (back >= reach)].abs().max() == 0
    assert (found[(back >= 0) & (back < reach)] > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@KINDS
def test_tokens_and_levels_that_are_drawn_are_those_of_whole_passes_to_the_bit(
    name: str, settings: dict[str, Any], dtype: torch.dtype
) -> None:
    for event, num in ((Event((12,), "tokens", 5), 20), (Event((40,), "levels", 4), 3)):
        model = made(name, settings, event, context=CLASS).to(dtype)
        context = torch.arange(num) % 2
        torch.manual_seed(5)
        drawn = model.sample(num, context)
        torch.manual_seed(5)
        assert torch.equal(drawn, naive(model, num, context))


@torch.no_grad()
def naive(model: AutoregressiveSequence, num: int, context: Tensor) -> Tensor:
    """Samples by a pass through all steps for each step."""
    y = model.vector(context, model.head.weight)
    x = torch.zeros(num, model.length, 1, dtype=torch.int64)
    for t in range(model.length):
        seen: PackedSequence = packed(model._before(x)[:, : t + 1], torch.full((num,), t + 1))
        features = padded(model.network(seen._replace(data=model._seen(seen.data)), y), seen)[:, t]
        x[:, t] = model.conditionals(features).sample()
        if model.event.kind == "tokens" and t:
            x[:, t] *= x[:, t - 1] != 0
            if not x[:, t].any():
                break
    return x[..., 0]


@KINDS
def test_half_precision_is_close_to_full(name: str, settings: dict[str, Any]) -> None:
    """By autocast, as trainings have it. A CPU has no LSTM of half precision."""
    model = made(name, settings, Event((6,), "tokens", 4), context=CLASS).float()
    exact = model.log_prob(STRINGS, told(STRINGS, 1))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model.log_prob(STRINGS, told(STRINGS, 1)), exact, atol=0.3, rtol=0.0)
        assert model.sample(5, told(STRINGS[:5], 1)).shape == (5, 6)


@KINDS
def test_samples_have_the_probabilities_of_the_model(name: str, settings: dict[str, Any]) -> None:
    """Counts of all 40 strings, those that are expected less than 5 times as one: a chi-squared test."""
    event, num = Event((3,), "tokens", 4), 20_000
    model = made(name, settings, event)
    x = model.sample(num)
    states = STRINGS[: 1 + 3 + 9 + 27, :3]
    expected = num * model.log_prob(states).exp().detach()
    found = (x[:, None] == states).all(2).double().sum(0)
    rare = expected < 5
    cells = [torch.cat((part[~rare], part[rare].sum(0, keepdim=True))) for part in (found, expected)]
    some = cells[1] > 0
    statistic = ((cells[0] - cells[1]).square() / cells[1])[some].sum()
    assert found.sum() == num
    assert statistic < chi2.isf(1e-5, int(some.sum()) - 1)


def student() -> ParallelWaveNet:
    """In float64, with weights that matter."""
    model = ParallelWaveNet(Event((9,), "real"), flows=3, layers=2, channels=4, skip=4, context=CLASS).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.standardise.fit(torch.tensor([[3.0], [5.0], [8.0]]).double())
    return model


def test_a_parallel_student_knows_the_density_of_its_samples() -> None:
    """By inversion, and by the determinant of the Jacobian of its samples in the noise."""
    model, y = student(), torch.tensor([1, 0, 1])
    x, log_p = model.rsample_and_log_prob(3, y)
    torch.testing.assert_close(model.log_prob(x, y), log_p)
    noise = torch.randn(1, 9).double()

    def drawn(noise: Tensor) -> Tensor:
        for flow in model.flows:
            noise, _ = flow(noise, model.vector(y[:1], noise))
        return model.standardise.inverse(noise.reshape(-1, 1)).reshape(1, -1)

    jacobian = torch.autograd.functional.jacobian(drawn, noise)[0, :, 0]
    log_noise = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum()
    torch.testing.assert_close(model.log_prob(drawn(noise), y[:1])[0], log_noise - torch.linalg.slogdet(jacobian)[1])


def test_a_parallel_student_can_ascend_its_likelihood() -> None:
    """Gradients of log p(x) through the inversion are those of differences."""
    model, x, y = student(), torch.randn(2, 9).double(), torch.tensor([0, 1])
    model.log_prob(x, y).sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        direction = torch.randn_like(parameter)
        ends = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.add_(step * direction)
                ends.append(model.log_prob(x, y).sum())
                parameter.sub_(step * direction)
        torch.testing.assert_close((ends[0] - ends[1]) / 2e-6, (direction * parameter.grad).sum(), rtol=1e-5, atol=1e-6)
