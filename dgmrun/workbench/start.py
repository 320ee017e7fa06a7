"""Initial parameters of a run: from a file, from a run, or from several runs, one for each part of the model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dgmrun.errors import Mistake
from dgmrun.paths import inputs
from dgmrun.protocols.models import Stacked
from dgmrun.run import weights
from dgmrun.workbench.setup import Setup


def is_settled(model: nn.Module) -> bool:
    """Returns whether a model has nothing to train, as it knows all from its settings."""
    return not any(part.requires_grad for part in model.parameters())


def given_weights(setup: Setup) -> Mapping[str, Tensor] | None:
    """Returns the parameters that `weights` names, or those of a model that has nothing to train; None otherwise.

    Raises:
        Mistake: they do not fit the model, or their number differs from that of its parts.
    """
    files = [weights.locate(given.path) for given in inputs(setup.config) if given.key == "weights"]
    model = setup.new_model()
    if setup.config["weights"] is None:
        return model.state_dict() if is_settled(model) else None
    parts = model.stack() if isinstance(model, Stacked) else [model]
    if isinstance(setup.config["weights"], list) and len(files) != len(parts):
        name = setup.config["choices"]["model"]
        raise Mistake(f"`weights` must be {len(parts)} for the model {name}, bottom first, but are {len(files)}")
    if not isinstance(setup.config["weights"], list):
        parts = [model]
    for part, file in zip(parts, files, strict=True):
        weights.load(part, weights.read(file), file)
    return model.state_dict()
