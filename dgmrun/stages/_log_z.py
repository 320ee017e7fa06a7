"""Which methods can estimate log Z of a model."""

from __future__ import annotations

from dgmrun import build
from dgmrun.errors import Mistake, nearest
from dgmrun.estimators.sampling import can_be_exact
from dgmrun.protocols import LogZMethod
from dgmrun.stages._setup import Setup


def methods(setup: Setup, word: str = "log_z") -> dict[str, LogZMethod]:
    """The log Z methods that `<word>.methods` selects, ready to call; auto is every one that fits.

    Raises:
        Mistake: a method is unknown, has a wrong setting, or the model cannot have it.
    """
    model, choice = setup.new_model(), setup.config["choices"]["model"]
    made: dict[str, LogZMethod] = {
        name: build.maker("log_z", node)()
        for name, node in setup.config["log_z"].items()
        if name not in build.SETTINGS and build.fits(type(model), build.target(node).requires)
    }
    if not made:
        raise Mistake(f"`{word}` must have a model without a normalised density, but `model` is {choice}")
    if setup.config["log_z"]["proposal"] is not None:
        raise Mistake("`log_z.proposal` must be null: no method here draws from another run yet")
    asked = setup.config[word]["methods"]
    if asked == "auto":
        return {name: method for name, method in made.items() if name != "exact" or can_be_exact(model)}
    for name in (names := [asked] if isinstance(asked, str) else list(asked)) or [""]:
        if name not in made:
            raise Mistake(
                f"`{word}.methods` must be auto or among {', '.join(made)}, "
                f"but has {name or 'none'}{nearest(name, made)}"
            )
        build.checked(made[name].check, model)
    return {name: made[name] for name in names}
