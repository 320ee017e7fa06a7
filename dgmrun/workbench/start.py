"""The parameters that a run starts from: those of a file, of a run, or of several runs, one for each part."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.paths import inputs
from dgmrun.protocols.models import Stacked
from dgmrun.run import weights
from dgmrun.workbench.setup import Setup


def given_weights(setup: Setup) -> Mapping[str, Tensor] | None:
    """The parameters that `weights` names; None where it names none.

    Raises:
        Mistake: they are not those of the model, or there are several and the model has no parts to give them to.
    """
    files = [weights.locate(given.path) for given in inputs(setup.config) if given.key == "weights"]
    if not files:
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
