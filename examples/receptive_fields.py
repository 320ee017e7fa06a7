"""What a pixel sees in each model of pixels, and its price: `python examples/receptive_fields.py fields.png`.

A picture shows the mean absolute gradient of the logit of the middle pixel in all pixels, at random weights and for
random bits; white is zero. Models are those of all YAML files, at their defaults; times are of one core.
"""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from matplotlib import rc_context
from matplotlib.axes import Axes
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dgmrun.nn.raster import Raster
from dgmrun.paths import options
from dgmrun.pictures.drawing import COLOURS, STYLE, Picture, save
from dgmrun.protocols.values import Event
from dgmrun.workbench.build import target

BATCH, SAMPLES, REPEATS = 50, 64, 2
FAINTEST = -8
"""Logarithm to base 10 of the least gradient that is told from fainter ones, where the largest is 1."""


@dataclass
class Measured:
    """What a model sees and costs.

    Args:
        field: mean absolute gradients of the logit of the middle pixel, [size, size].
        costs: its figures, by their names.
    """

    field: Tensor
    costs: dict[str, float]


def main() -> None:
    """Prints a table of all models, and draws it below what they see."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path, help="where the picture is written")
    parser.add_argument("--size", type=int, default=28, help="height and width of the pictures that are modelled")
    arguments = parser.parse_args()
    if arguments.size < 3:
        parser.error("--size must be at least 3, as the middle pixel has others on all sides")
    torch.set_num_threads(1)
    found = {name: measure(model) for name, model in models(Event((1, arguments.size, arguments.size), "binary"))}
    heads = list(next(iter(found.values())).costs)
    print(f"| model | {' | '.join(heads)} |\n|---{'|---:' * len(heads)}|")
    for name, each in found.items():
        print(f"| {name} | {' | '.join(map(figure, each.costs.values()))} |")
    save(arguments.picture, draw(found))


def models(event: Event) -> Iterator[tuple[str, Raster]]:
    """Every model of pixels at its defaults, with and without gates if it can have them, with its name."""
    for name, file in options("model").items():
        node = yaml.safe_load(file.read_text())["model"]
        kind, settings = target(node), {key: value for key, value in node.items() if key != "_target_"}
        if isinstance(kind, type) and issubclass(kind, Raster):
            for gated in (False, True) if "gated" in node else (None,):
                torch.manual_seed(0)
                more = {} if gated is None else {"gated": gated}
                word = {False: ", plain", True: ", gated", None: ""}[gated]
                yield name + word, kind(event, **{**settings, **more})


def measure(model: Raster) -> Measured:
    """Measures what a model sees and costs."""
    x = torch.randint(2, (BATCH, *model.event.shape)).float()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.log_prob(x)
    adds = counter.get_total_flops() / 2 / x.numel()
    optimiser = torch.optim.Adam(model.parameters(), fused=True)

    def step() -> None:
        optimiser.zero_grad()
        (-model.log_prob(x).mean()).backward()
        optimiser.step()

    seen, size = field(model, x), x.shape[-1]
    before = size // 2 * (size + 1)
    return Measured(
        seen,
        {
            f"pixels seen of {before}": float((seen > 0).sum()),
            "multiply-adds a pixel": adds,
            f"ms a training step of {BATCH}": milliseconds(step),
            f"ms a sample, of {SAMPLES}": milliseconds(lambda: model.sample(SAMPLES)) / SAMPLES,
        },
    )


def field(model: Raster, x: Tensor) -> Tensor:
    """Mean absolute gradient of the logit of the middle pixel in each pixel, in double precision."""
    x, middle = x.double().requires_grad_(), x.shape[-1] // 2
    mean = model.double().conditionals(x).mean[:, 0, middle, middle]
    (gradient,) = torch.autograd.grad(mean.logit().sum(), x)
    model.float()
    return gradient[:, 0].abs().mean(0)


def milliseconds(way: Callable[[], object]) -> float:
    """The shortest processor time of several."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        way()
        seconds.append(time.process_time() - start)
    return 1000 * min(seconds)


def figure(value: float) -> str:
    """Three digits of a number, or all of a large one."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@rc_context(STYLE)
def draw(found: dict[str, Measured]) -> Picture:
    """Draws what each model sees, in a row, with its figures below."""
    picture = Picture(figsize=(2.9 * len(found), 4), layout="constrained")
    heads = list(next(iter(found.values())).costs)
    picture.data = {"model": list(found), **{head: [each.costs[head] for each in found.values()] for head in heads}}
    panels = picture.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, each) in zip(panels, found.items(), strict=True):
        show(axes, each.field)
        axes.set_title(name)
        axes.set_xlabel("\n".join(f"{figure(value)} {head}" for head, value in each.costs.items()), fontsize=9)
    ticks = list(range(FAINTEST, 1, 2))
    bar = picture.colorbar(panels[0].images[0], ax=panels, shrink=0.8, extend="min", ticks=ticks)
    bar.set_ticklabels([f"{10.0**tick:g}" for tick in ticks])
    bar.set_label("gradient over the largest")
    return picture


def show(axes: Axes, seen: Tensor) -> None:
    """Draws gradients on a logarithmic scale, the middle pixel, and the border of all that come before it."""
    relative = (seen / seen.max()).numpy()
    log = [[math.log10(value) if value else math.nan for value in row] for row in relative]
    axes.imshow(log, cmap="viridis", vmin=FAINTEST, vmax=0)
    size, middle = len(seen), len(seen) // 2
    left, low, high, end = middle - 0.5, middle + 0.5, middle - 0.5, size - 0.5
    axes.plot([-0.5, left, left, end], [low, low, high, high], color="black", linewidth=1)
    axes.plot(middle, middle, "s", color=COLOURS[1], markersize=4)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


if __name__ == "__main__":
    main()
