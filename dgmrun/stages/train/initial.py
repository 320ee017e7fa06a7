"""The model before its first step."""

from __future__ import annotations

import logging

import torch
from torch import nn

from dgmrun.protocols.models import Initialised
from dgmrun.protocols.sequences import Windowed
from dgmrun.protocols.sparse import is_sparse
from dgmrun.protocols.values import Event
from dgmrun.run import weights
from dgmrun.run.directory import Run
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")
DENSE = 2**24
"""Most numbers of sparse training data from which a model is initialised: 128 MiB of counts."""


def initial_model(run: Run, setup: Setup) -> nn.Module:
    """Returns the model before its first step, with given weights or, if there are none, initialised from the data."""
    model = setup.new_model()
    if setup.config["weights"]:
        file = run.path / "weights.safetensors"
        weights.load(model, weights.read(file), file)
    elif isinstance(model, Initialised):
        train = setup.scored("train")
        some = setup.places("train", max(1, DENSE // setup.event.dims)) if is_sparse(train.x) else slice(None)
        build.checked(model.initialise, setup.seen(train.rows(some), torch.device("cpu")).x)
    return model


def say_receptive_field(model: nn.Module, event: Event) -> None:
    """Says how far a model looks back, if there is an end to it."""
    if isinstance(model, Windowed):
        log.info("model       receptive field %d steps, of examples %s", model.receptive_field(), list(event.shape))
