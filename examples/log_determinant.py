"""What log p(x) of a masked autoregressive layer costs: `python examples/log_determinant.py cost.png`.

Its volume is once the determinant of the whole Jacobian, by autograd, and once the sum of D logarithms, as the Jacobian
is triangular; both are the same number. The network has two hidden layers of D units.
"""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib import rc_context
from torch import Tensor
from torch.func import jacrev, vmap

from dgmrun.models.flow import Flow
from dgmrun.pictures.drawing import STYLE, Picture, save
from dgmrun.protocols.values import Event

EXAMPLES, REPEATS = 10, 5


def main() -> None:
    """Prints a row for each D, and draws the times with their slopes."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path, help="where the picture is written")
    parser.add_argument("--dims", type=int, nargs="+", default=[2**power for power in range(1, 10)])
    arguments = parser.parse_args()
    if len(arguments.dims) < 3 or arguments.dims != sorted({*arguments.dims}) or arguments.dims[0] < 1:
        parser.error("--dims must be at least three numbers from 1 on that grow, such as 2 4 8")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    times: dict[str, list[float]] = {}
    for dims in arguments.dims:
        ways = _ways(dims)
        values = [way() for way in ways.values()]
        assert torch.allclose(values[0], values[1], rtol=0, atol=1e-8)
        for name, way in ways.items():
            times.setdefault(name, []).append(_milliseconds(way))
        print(f"D {dims:4}", *(f"  {name} {each[-1]:9.3f} ms" for name, each in times.items()))
    save(arguments.picture, _plot(arguments.dims, times))


def _ways(dims: int) -> dict[str, Callable[[], Tensor]]:
    """Ways to log |det| of 10 examples."""
    flow = Flow(Event((dims,), "real"), layers=1, hidden=[dims, dims]).double()
    x = torch.randn(EXAMPLES, dims, dtype=torch.float64)
    noise = flow.layers().transform
    whole = vmap(jacrev(noise))(x).detach()
    return {
        "triangular: sum of logs": lambda: noise.call_and_ladj(x)[1].detach(),
        "full: autograd and slogdet": lambda: torch.linalg.slogdet(vmap(jacrev(noise))(x)).logabsdet.detach(),
        "slogdet alone": lambda: torch.linalg.slogdet(whole).logabsdet,
    }


def _milliseconds(way: Callable[[], Tensor]) -> float:
    """The shortest processor time of several, for one example."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        way()
        seconds.append(time.process_time() - start)
    return 1000 * min(seconds) / EXAMPLES


@rc_context(STYLE)
def _plot(dims: list[int], times: dict[str, list[float]]) -> Picture:
    """Times over dimensions on logarithmic axes; a slope is that between the last dimension and a quarter of it."""
    figure = Picture(figsize=(5.5, 3.8), layout="constrained")
    figure.data = {"dims": dims, **times}
    axes = figure.subplots()
    for name, each in times.items():
        slope = math.log(each[-1] / each[-3]) / math.log(dims[-1] / dims[-3])
        axes.loglog(dims, each, "o-", label=f"{name}, slope {slope:.1f}")
    axes.set(xlabel="dimensions D", ylabel="milliseconds for an example")
    axes.set_xticks(dims, [str(each) for each in dims])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(top=30 * max(map(max, times.values())))
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
