"""Features by which samples are compared with data: of a run that `fidelity.features` names, or standardised x."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dgmrun.errors import Mistake
from dgmrun.protocols.features import Featured, Features, X
from dgmrun.protocols.models import fits
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded
from dgmrun.workbench import build
from dgmrun.workbench.inputs import FEATURES, Other, unlike
from dgmrun.workbench.setup import Setup

BLOCK = 500
"""Number of examples whose features are computed together."""
FITTED = 10_000
"""Number of training examples to which x are standardised."""
GREY = ("unit", "levels", "binary")
"""Kinds of values that are greys; a network of either of the first two can be shown all of them."""

MAKES_ONE = "dgmrun model=classifier dataset=... train makes one of the same data"


def check(setup: Setup) -> None:
    """Refuses runs that `fidelity.features` cannot name, before anything is trained.

    Raises:
        Mistake: see `features`.
    """
    if setup.config["fidelity"]["features"] is not None:
        _found(setup)


def features(setup: Setup) -> Features:
    """Returns the features of examples that `fidelity.features` names; standardised x if it is null.

    Raises:
        Mistake: it is no run of a model with features of such examples.
    """
    if setup.config["fidelity"]["features"] is None:
        return standardised(setup)
    with seeded(0, "features"):  # as a model draws the parameters that it is built with
        found = _found(setup)
        return Features(_Of(setup, found), {"features": vars(found.run.identity())})


def training(setup: Setup) -> Tensor:
    """Returns all training examples in original units."""
    return setup.original(setup.seen(setup.scored("train").rows(slice(None)), torch.device("cpu")).x)


def standardised(setup: Setup) -> Features:
    """Returns x itself as features, with mean 0 and variance 1 over training examples.

    Dimensions of real numbers, such as columns of a table or points of a series, are scaled each by itself, as they may
    have units of their own; those of pictures and all else together, as a pixel that is nearly always black would be
    the only thing that is seen. Classes and tokens are one-hot encoded.
    """
    event = setup.original_event
    rows = setup.scored("train").rows(setup.places("train", FITTED))
    x = _flat(setup.original(setup.seen(rows, torch.device("cpu")).x), event)
    variance = x.var(0, correction=0)
    if event.kind != "real" or event.is_picture:
        variance = variance.mean(0, keepdim=True)
    mean, scale = x.mean(0), variance.where(variance > 0, 1.0).sqrt()
    return Features(lambda x: (_flat(x, event) - mean) / scale, {"features": X})


def _flat(x: Tensor, event: Event) -> Tensor:
    """Examples as vectors, [num, dims], float64."""
    if event.kind in ("categorical", "tokens"):
        x = one_hot(x.long(), event.size or 1)
    return x.reshape(len(x), -1).double()


class _Of:
    """The map to features of a run."""

    def __init__(self, setup: Setup, its: Other) -> None:
        self.model: Any = its.model
        self.upright, self.data = setup.upright, its.setup.data
        self.event = its.setup.event if its.setup.is_of_x else its.setup.context
        ours, theirs = setup.original_event, its.setup.original_event
        self.white = _white(theirs) / _white(ours)
        self.is_rounded = theirs.kind == "levels" and ours.kind != "levels"

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Features of examples in original units; those of equal examples are equal to the bit."""
        distinct, back = self.upright(x).unique(dim=0, return_inverse=True)
        return torch.cat([self._of_block(block) for block in distinct.split(BLOCK)])[back]

    def _of_block(self, x: Tensor) -> Tensor:
        assert self.event is not None
        greys = x if self.white == 1 else x * self.white
        seen = self.data.seen(greys.round() if self.is_rounded else greys, "test")
        found: Tensor = self.model.features(self.event.seen(seen, next(self.model.parameters())))
        return found.flatten(1).double().cpu()


def _found(setup: Setup) -> Other:
    """Returns the run that `fidelity.features` names.

    Raises:
        Mistake: its model has no features, or they are of other examples.
    """
    found = unlike(setup, FEATURES)
    if not fits(build.target(found.setup.config["model"]), Featured):
        must = f"`{FEATURES}` must be a run whose model has features, but its model is {found.name}"
        raise Mistake(must, MAKES_ONE)
    ours, theirs = setup.original_event, found.setup.original_event
    is_grey = theirs.kind in GREY[:2] and ours.kind in GREY
    if ours.shape != theirs.shape or not (is_grey or (ours.kind, ours.size) == (theirs.kind, theirs.size)):
        is_of_bits = ours.shape == theirs.shape and theirs.kind == "binary" and ours.kind in GREY
        raise Mistake(
            f"`{FEATURES}` must be a run on examples as these, {ours}, but {found.run.path} is on {theirs}",
            f"{MAKES_ONE}{', with dataset.binarisation=none of bits, too' if is_of_bits else ''}",
        )
    return found


def _white(event: Event) -> int:
    """The value of white where values are greys: the last level, else 1."""
    return (event.size or 2) - 1 if event.kind == "levels" else 1
