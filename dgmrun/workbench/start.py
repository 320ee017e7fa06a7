"""Initial parameters of a run: from a file, from a run, or from several runs, one for each part of the model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.paths import inputs
from dgmrun.protocols.models import Stacked
from dgmrun.run import weights
from dgmrun.workbench.setup import Setup


def given_weights(setup: Setup) -> Mapping[str, Tensor] | None:
    """Returns the parameters that `weights` names; None if it is null.

    Raises:
        Mistake: they do not fit the model, or their number differs from that of its parts.
    """
    files = [weights.locate(given.path) for given in inputs(setup.config) if given.key == "weights"]
    if setup.config["weights"] is None:
        return None
    model = setup.new_model()
    parts = model.stack() if isinstance(model, Stacked) else [model]
    if isinstance(setup.config["weights"], list) and len(files) != len(parts):
        name = setup.config["choices"]["model"]
        raise Mistake(f"`weights` must be {len(parts)} for the model {name}, bottom first, but are {len(files)}")
    if not isinstance(setup.config["weights"], list):
        parts = [model]
    for part, file in zip(parts, files, strict=True):
        weights.load(part, weights.read(file), file)
    return model.state_dict()
