"""Examples that the user gives, in original units, ready to be scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from dgmrun.data.check import inside
from dgmrun.data.splits import SPLITS
from dgmrun.data.transform import log_jacobian
from dgmrun.errors import Mistake, nearest
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure
from dgmrun.workbench.scoring import Scored, caveats, measured, of_batch, of_split, prepared, selecting
from dgmrun.workbench.setup import Setup

TYPES = {"b": numpy.uint8, "i": numpy.int64, "u": numpy.int64, "f": numpy.float64}
"""Types that numbers of each kind are converted to."""


def scores(run: Run, setup: Setup, model: nn.Module, x: Any, given: Any) -> Iterator[tuple[Tensor, Figure]]:
    """Yields log-probabilities in original units, and their mean, by each exact method, or else by all selected ones.

    Args:
        run: the run of the model.
        setup: its configuration, which selects methods.
        model: the trained model.
        x: the name of a split, or examples.
        given: their contexts, unless they are a split.

    Raises:
        Mistake: the model has no likelihood, or the examples do not suit it.
    """
    name = split(x) if isinstance(x, str) else None
    if name is not None and given is not None:
        raise Mistake("`given` must be None with a split, which has contexts of its own, but is not")
    found = _scored(setup, x, given) if name is None else of_split(setup, name, "likelihood")
    every = prepared(run, setup, "likelihood", model)
    for label, method in ({key: one for key, one in every.items() if one.is_exact} or every).items():
        with seeded(setup.config["seed"], "likelihood", label, name or "test"):
            values, figure = measured(run, setup, method, model, found, name)
        figure.warnings.extend(caveats(run))
        yield values, figure


def _scored(setup: Setup, x: Any, given: Any) -> Scored:
    """Returns examples x [N, ...] and their contexts, if the model is conditional, as it sees them.

    Noise is drawn as for the test split, so that the examples of that split are scored as `likelihood` scores them.

    Raises:
        Mistake: they do not suit the model.
    """
    if (given is None) != (setup.context is None):
        must = "be None" if setup.context is None else "hold the context of each example"
        raise Mistake(f"`given` must {must} for this run, but {'is None' if given is None else 'is not'}")
    of_pixels, of_labels = setup.original_event, setup.arrangement.labels
    modelled = _tensor("x", x, of_pixels if setup.is_of_x else of_labels)
    context = None if given is None else _tensor("given", given, of_labels if setup.is_of_x else of_pixels)
    if context is not None and len(context) != len(modelled):
        must = f"be of {len(modelled)} examples, as `x` is"
        raise Mistake(f"`given` must {must}, but is of {len(context)}")
    pixels, labels = (modelled, context) if setup.is_of_x else (context, modelled)
    assert pixels is not None
    batch = setup.arrangement.rows(setup.data.seen(pixels, "test"), labels, torch.arange(len(pixels)))
    return of_batch(setup, batch, log_jacobian(setup.back, batch.x), selecting(setup, "likelihood", []))


def split(name: str) -> str:
    """Returns the name of a split.

    Raises:
        Mistake: there is no such split.
    """
    if name not in SPLITS:
        raise Mistake(f"`split` must be one of {', '.join(SPLITS)}, but is {name!r}{nearest(str(name), SPLITS)}")
    return name


def _of_numpy(name: str, part: Any) -> Tensor:
    """Converts numbers in any form that numpy takes.

    Raises:
        Mistake: they are no numbers, or no array.
    """
    try:
        array = numpy.asarray(part)
        return torch.from_numpy(array.astype(TYPES[array.dtype.kind], order="C"))
    except (ValueError, KeyError, TypeError):
        raise Mistake(f"`{name}` must hold numbers, in one shape for all examples, but does not") from None


def _tensor(name: str, part: Any, event: Event | None) -> Tensor:
    """Returns examples as a tensor, if they are values that the event allows.

    Raises:
        Mistake: they are not.
    """
    assert event is not None
    tensor = part if isinstance(part, Tensor) else _of_numpy(name, part)
    if not tensor.numel() or not tensor.dim() or tuple(tensor.shape[1:]) != event.shape:
        shape = ", ".join(map(str, ("N", *event.shape)))
        raise Mistake(f"`{name}` must be [{shape}], but is {list(tensor.shape)}")
    if tensor.is_floating_point() and bool((tensor.abs() > torch.finfo(torch.float32).max).any()):
        raise Mistake(f"`{name}` must hold numbers that 32 bits hold, but holds {tensor.abs().max():g}")
    if not inside(tensor, event):
        size = "" if event.size is None else f", 0 to {event.size - 1}"
        raise Mistake(f"`{name}` must hold {event.kind} values{size}, in original units, but holds others")
    return tensor
