"""Examples x of a simulator, x = simulate(z) with z ~ N(0, I); z are the labels, of which given=x learns p(z | x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.nn.simulate import simulated
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

Simulate = Callable[[Tensor], Tensor]


def load(data_dir: Path, sizes: Sequence[int], latent: int, simulate: Simulate) -> Splits:
    """Draws z [N, latent] and x [N, ...].

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        latent: number of units of z.
        simulate: maps z [num, latent] to x [num, ...], with random numbers of torch; `model=simulator` takes the same.

    Raises:
        SimulatorError: the simulator fails, or does not give finite real numbers [num, ...].
    """

    @torch.no_grad()
    def draw(size: int) -> Split:
        z = torch.randn(size, latent)
        return Split(simulated("dataset", simulate, z, None), z)

    return drawn("simulated", sizes, draw)


def event(sizes: Sequence[int], latent: int, simulate: Simulate) -> Event:
    """Returns the event of x: as many real numbers as the simulator gives."""
    with seeded(0, "simulated"), torch.no_grad():
        return Event(tuple(simulated("dataset", simulate, torch.zeros(2, latent), None).shape[1:]), "real")


def labels(sizes: Sequence[int], latent: int, simulate: Simulate) -> Event:
    """Returns the event of z."""
    return Event((latent,), "real")


def curves(sizes: Sequence[int], latent: int, simulate: Simulate) -> Sequence[str]:
    """Returns the name of each curve of x [curves, steps], of a simulator that has them as `curves`."""
    names: Sequence[str] = getattr(simulate, "curves", ())
    return names
