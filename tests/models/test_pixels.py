"""Models of pixels, found by their YAML: normalised, looking back only, and sampled one pixel at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from dgmrun.models.pixelcnn import PixelCNN
from dgmrun.nn.binary import bits
from dgmrun.nn.families import LogisticMixture
from dgmrun.nn.raster import Raster
from dgmrun.paths import options
from dgmrun.protocols.values import Event
from dgmrun.workbench import build

SETTINGS = {name: yaml.safe_load(file.read_text())["model"] for name, file in options("model").items()}
CLASSES = {name: build.target(node) for name, node in SETTINGS.items()}
RASTER = {name: found for name, found in CLASSES.items() if issubclass(found, Raster)}
CASES = [
    (name, {key: value} if key else {})
    for name in RASTER
    for key, value in ([("gated", True), ("gated", False)] if "gated" in SETTINGS[name] else [("", None)])
]
KINDS = pytest.mark.parametrize(("name", "more"), CASES, ids=["-".join(map(str, [n, *m.values()])) for n, m in CASES])
SHAPES = [(1, 3, 3), (1, 2, 4), (2, 2, 2), (3, 1, 3)]
CLASS = Event((), "categorical", 3)


def made(name: str, more: dict[str, Any], event: Event, scale: float = 0.5, **settings: Any) -> Raster:
    """A small model in float64 with weights that matter."""
    model: Raster = RASTER[name](event=event, channels=6, layers=2, head=6, **more, **settings).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return model


def states(shape: Sequence[int]) -> Tensor:
    dims = math.prod(shape)
    return bits(torch.arange(2**dims), dims).double().reshape(-1, *shape)


def orders(shape: Sequence[int]) -> list[list[int]]:
    return [list(order) for order in itertools.permutations(range(shape[0]))]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@KINDS
def test_all_pictures_sum_to_one_for_every_order_of_colours(name: str, more: Any, shape: tuple[int, ...]) -> None:
    x = states(shape)
    for order in orders(shape):
        model = made(name, more, Event(shape, "binary"), colour_order=order, context=CLASS)
        each = torch.stack([model.log_prob(x, torch.full((len(x),), y)) for y in range(3)])
        assert each.logsumexp(1).abs().max() < 1e-10
        assert (each[0] - each[1]).abs().max() > 1e-3, "the context is not looked at"


@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 3, 3)], ids=str)
@KINDS
def test_a_conditional_depends_on_what_comes_before_alone(name: str, more: Any, shape: tuple[int, ...]) -> None:
    """Jacobian of the conditionals' parameters in the input, in raster order and the order of colours."""
    for order in orders(shape)[-2:]:
        model = made(name, more, Event(shape, "binary"), scale=1.0, colour_order=order)

        def logits(seen: Tensor, model: Raster = model) -> Tensor:
            return model.outputs(seen, None).squeeze(-1).sum(0).movedim(0, -1).flatten()

        seen = torch.randn(40, *shape, dtype=torch.float64)
        found = torch.autograd.functional.jacobian(logits, seen).abs().amax(1)  # [places, *shape]
        found = found.movedim(1, -1).flatten(1)
        assert found.triu().max() == 0
        before = found.tril(-1).count_nonzero() / torch.ones_like(found).tril(-1).count_nonzero()
        assert before > (0.5 if more.get("gated") is False or name == "row_lstm" else 0.9)


@pytest.mark.parametrize("kind", ["binary", "levels", "categorical"])
@pytest.mark.parametrize("shape", [(1, 3, 4), (2, 3, 2)], ids=str)
@KINDS
def test_samples_are_those_of_passes_through_the_whole_picture(name: str, more: Any, shape: Any, kind: str) -> None:
    """To the bit, under the same draws, with what is given above the rows that are drawn."""
    event = Event(shape, kind, None if kind == "binary" else 5)
    model = made(name, more, event, colour_order=orders(shape)[-1], context=CLASS, levels="logistic", components=2)
    y = torch.randint(3, (30,))
    x = model.sample(30, y)
    for rows in range(shape[1]):
        torch.manual_seed(1)
        drawn = model.impute(x, rows, y)
        torch.manual_seed(1)
        assert torch.equal(drawn, naive(model, x, rows, y))
        assert torch.equal(drawn[:, :, :rows], x[:, :, :rows])
    assert not torch.equal(model.impute(x, 0, y), x)


def naive(model: Raster, x: Tensor, rows: int, y: Tensor) -> Tensor:
    """Samples below some rows, by a pass through the whole picture for each number."""
    x = torch.cat((x[:, :, :rows], torch.zeros_like(x[:, :, rows:])), 2)[:, model.order]
    number, height, width = x.shape[1:]
    for i, j, c in itertools.product(range(rows, height), range(width), range(number)):
        outputs = model.outputs(model.seen(x), y)[:, c, i, j]
        x[:, c, i, j] = model.family(outputs).sample()
    return x[:, model.order.argsort()]


@KINDS
def test_frequencies_of_samples_are_the_probabilities(name: str, more: Any) -> None:
    model, num = made(name, more, Event((1, 2, 2), "binary")), 20_000
    codes = (model.sample(num).flatten(1).long() << torch.arange(4)).sum(1)
    p = model.log_prob(states((1, 2, 2))).exp()
    error = (p * (1 - p) / num).sqrt()
    assert ((torch.bincount(codes, minlength=16) / num - p).abs() < 5 * error).all()  # 16 bounds: false alarms 1e-5


@KINDS
def test_the_conditionals_are_those_of_the_density(name: str, more: Any) -> None:
    model, x = made(name, more, Event((2, 2, 2), "binary"), colour_order=[1, 0]), states((2, 2, 2))
    p = model.means(x)
    assert torch.allclose(model.log_prob(x), torch.where(x > 0, p, 1 - p).log().flatten(1).sum(1))


def test_gated_stacks_see_what_masked_convolutions_do_not() -> None:
    """The blind spot of PixelCNN decoders, figure 1: to the right above, further than a line of slope one."""
    seen = {}
    for gated in (True, False):
        model = PixelCNN(Event((1, 13, 13), "binary"), layers=4, channels=6, first=3, head=6, gated=gated).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
        x = torch.randn(300, 1, 13, 13, dtype=torch.float64, requires_grad=True)
        model.outputs(model.seen(x), None)[:, 0, 6, 6].sum().backward()
        assert x.grad is not None
        seen[gated] = x.grad.abs().amax((0, 1)) > 0
    before = torch.arange(169).reshape(13, 13) < 6 * 13 + 6
    near = torch.zeros(13, 13, dtype=torch.bool)
    near[1:7, 1:12] = True
    further = near.roll(-1, 0) | near  # rows above begin at the last row, and reach one further
    assert torch.equal(seen[True], before & further), "five layers reach five pixels, and gated ones see all of these"
    blind = torch.tensor([[j - 6 > 6 - i for j in range(13)] for i in range(13)])
    assert not seen[False][blind].any()
    assert torch.equal(seen[False], before & near & ~blind)


@pytest.mark.parametrize("size", [2, 256])
def test_probabilities_of_all_levels_sum_to_one(size: int) -> None:
    family = LogisticMixture(Event((3,), "levels", size), components=4)
    conditionals = family(3 * torch.randn(50, 3, family.size, dtype=torch.float64))
    each = torch.stack([conditionals.log_prob(torch.full((50, 3), level)) for level in range(size)])
    assert each.logsumexp(0).abs().max() < 1e-10


def test_a_mixture_of_one_logistic_has_its_samples() -> None:
    family = LogisticMixture(Event((1,), "levels", 5), components=1)
    conditional = family(torch.tensor([0.3, 0.1, -1.0]).expand(20_000, 1, 3))
    p = torch.stack([conditional.log_prob(torch.full((20_000, 1), level))[0, 0] for level in range(5)]).exp()
    share = torch.bincount(conditional.sample()[:, 0].long(), minlength=5) / 20_000
    assert ((share - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt()).all()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"channels": 5}, "channels"),
        ({"head": 2}, "head"),
        ({"kernel": 4}, "kernel"),
        ({"first": 1}, "first"),
        ({"layers": -1}, "layers"),
        ({"levels": "normal"}, "levels"),
        ({"components": 0}, "components"),
        ({"components": 2.0}, "components"),
        ({"gated": "no"}, "gated"),
        ({"layers": 2.5}, "layers"),
        ({"colour_order": 0}, "colour_order"),
        ({"colour_order": [0, 1, 1]}, "colour_order"),
    ],
)
def test_settings_that_make_no_model_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"`model.{named}` must be"):
        PixelCNN(Event((3, 4, 4), "levels", 256), **settings)


def test_one_logistic_starts_at_the_moments_of_its_pixels() -> None:
    """Which makes noise around a level at least a nat more probable than the uniform law does."""
    family = LogisticMixture(Event((1,), "levels", 256), components=1)
    for level in (0, 100, 255):
        x = (level + torch.randint(-20, 21, (1000, 1))).clamp(0, 255)
        assert family(family.start(x).expand(1000, 1, -1)).log_prob(x).mean() > 1 - math.log(256)


@pytest.mark.parametrize("layers", [0, 2])
@KINDS
def test_every_parameter_gets_a_gradient(name: str, more: Any, layers: int) -> None:
    """In half precision, too, in which the conditionals' parameters are not."""
    model = RASTER[name](event=Event((1, 5, 5), "levels", 9), channels=6, layers=layers, head=6, context=CLASS, **more)
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.randint(9, (20, 1, 5, 5))
        assert model.outputs(model.seen(x), torch.randint(3, (20,))).dtype == torch.float32
        model.log_prob(x, torch.randint(3, (20,))).mean().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key


def test_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="must be \\[channels, height, width\\] for a model of pixels"):
        PixelCNN(Event((6,), "binary"))
