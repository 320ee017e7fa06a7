"""Whose log Z, through whom, and by which methods."""

from __future__ import annotations

from typing import Any, NamedTuple

from dgmrun.errors import Mistake, nearest
from dgmrun.estimators.sampling import can_be_exact
from dgmrun.protocols.methods import LogZMethod
from dgmrun.protocols.models import TractableDensity
from dgmrun.run.directory import Run
from dgmrun.workbench import build
from dgmrun.workbench.inputs import Other, other
from dgmrun.workbench.setup import Setup


class Subject(NamedTuple):
    """A model without a normalised density, and the run of a tractable one near it, if there is one."""

    target: Other
    proposal: Other | None


def is_student(setup: Setup) -> bool:
    """Whether the run measures its teacher's log Z, having none of its own."""
    model = build.target(setup.config["model"])
    return build.fits(model, TractableDensity) and "teacher" in setup.config["objective"]


def subject(run: Run, setup: Setup) -> Subject:
    """The run itself and the proposal that it names; of a student, its teacher and itself."""
    me = Other(run, setup)
    if is_student(setup):
        return Subject(other(setup, "objective.teacher"), me)
    return Subject(me, _proposal(setup))


def methods(setup: Setup, word: str = "log_z") -> dict[str, LogZMethod]:
    """The log Z methods that `<word>.methods` selects, ready to call; auto is every one that can be had.

    Raises:
        Mistake: a method is unknown, has a wrong setting, or the model cannot have it.
    """
    student = is_student(setup)
    if student and setup.config["log_z"]["proposal"] is not None:
        raise Mistake("`log_z.proposal` must be null for a student, which is one itself: give it to its teacher's run")
    target = other(setup, "objective.teacher").setup if student else setup
    has_proposal = student or _proposal(setup) is not None
    model, choice = target.new_model(), setup.config["choices"]["model"]
    made: dict[str, LogZMethod] = {
        name: build.maker("log_z", node)()
        for name, node in setup.config["log_z"].items()
        if name not in build.SETTINGS and build.fits(type(model), build.target(node).requires)
    }
    made = {name: method for name, method in made.items() if method.needs_proposal or not student}
    if not made:
        raise Mistake(f"`{word}` must have a model without a normalised density, or a student of one, but has {choice}")
    asked = setup.config[word]["methods"]
    if asked == "auto":
        return {
            name: method
            for name, method in made.items()
            if (name != "exact" or can_be_exact(model)) and (has_proposal or not method.needs_proposal)
        }
    selected = chosen(word, asked, made)
    for name, method in selected.items():
        if word == "log_z":
            check_proposal(name, method, has_proposal)
        build.checked(method.check, model)
    return selected


def check_proposal(name: str, method: LogZMethod, has_proposal: bool) -> None:
    """Refuses a method that lacks a proposal.

    Raises:
        Mistake: there is none.
    """
    if method.needs_proposal and not has_proposal:
        raise Mistake(f"`log_z.proposal` must be given for {name}, but is null", "log_z.proposal=RUN of a student")


def chosen(word: str, asked: str | list[str], made: dict[str, Any]) -> dict[str, Any]:
    """Those that `<word>.methods` names.

    Raises:
        Mistake: one is none of those that the model can have.
    """
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names or [""]:
        if name not in made:
            raise Mistake(
                f"`{word}.methods` must be auto or among {', '.join(made)}, "
                f"but has {name or 'none'}{nearest(name, made)}"
            )
    return {name: made[name] for name in names}


def _proposal(setup: Setup) -> Other | None:
    """The run that `log_z.proposal` names.

    Raises:
        Mistake: its density is not tractable.
    """
    if setup.config["log_z"]["proposal"] is None:
        return None
    found = other(setup, "log_z.proposal")
    if not build.fits(build.target(found.setup.config["model"]), TractableDensity):
        name = found.setup.config["choices"]["model"]
        raise Mistake(f"`log_z.proposal` must be a run whose model has log_prob and sample, but its model is {name}")
    return found
