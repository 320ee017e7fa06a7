"""`hidden`: probabilities of the hidden units given the data, on which a machine above is trained."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING, Any

from dgmrun.errors import Mistake
from dgmrun.paths import short

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

FILE, BLOCK = "hidden.npz", 1000
"""Name of the file, and number of examples at a time."""
DEPENDS = ()
WRITES = (FILE,)
LEAST: dict[str, int] = {}
log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses models without a layer of binary hidden units."""
    from dgmrun.protocols.models import fits
    from dgmrun.protocols.samplers import TwoLayers
    from dgmrun.workbench import build

    if not fits(build.target(setup.config["model"]), TwoLayers):
        name = setup.config["choices"]["model"]
        raise Mistake(f"`hidden` must have a model of one layer of binary hidden units, but `model` is {name}")
    if setup.population("test") is not None:
        name = setup.config["choices"]["dataset"]
        raise Mistake(f"`hidden` must have data whose splits differ, but `dataset` {name} has one for all")


def main(run: Run, setup: Setup) -> None:
    """Writes p(h = 1 | x) of every example as a dataset of grey levels x [N, H], with the split of each."""
    import numpy
    import torch

    from dgmrun.data.splits import SPLITS

    model: Any = setup.trained_model(run)
    batches = [setup.scored(split) for split in SPLITS]
    blocks = (setup.seen(block).x.flatten(1) for batch in batches for block in batch.blocks(BLOCK))
    x = torch.cat([torch.sigmoid(model.hidden_logits(v)).float().cpu() for v in blocks])
    run.write_arrays(FILE, x=x.numpy(), split=numpy.repeat(SPLITS, [len(batch.x) for batch in batches]))
    path = shlex.quote(f"dataset.path={short(run.path / FILE)}")
    log.info("hidden      %s units: dataset=file %s dataset.binarisation=dynamic", x.shape[1], path)
