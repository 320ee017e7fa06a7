"""Selection of the methods of a stage: those chosen in its section, among those that apply to the model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from torch import nn

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import options, sections
from dgmrun.protocols.methods import LogZMethod, Method, suits
from dgmrun.protocols.models import TractableDensity, roles
from dgmrun.protocols.samplers import Chain
from dgmrun.run.directory import Run
from dgmrun.workbench import build
from dgmrun.workbench.inputs import PROPOSAL, TEACHER, Other, has_known_teacher, other
from dgmrun.workbench.setup import Setup
from dgmrun.workbench.strings import language

M = TypeVar("M")
WHERE = {
    "modes": "the modes of the data are known",
    "language": "strings of the data can be spelled",
    "validity": "it is known which strings are valid",
    "teacher": "the run has one teacher, still there and as it was, that is normalised or has a log Z",
    "features": "x is modelled, and not its labels",
}
"""When a method can be used, by what it needs."""


class Subject(NamedTuple):
    """A model with a log Z to estimate, and the run of a tractable density close to it, if any."""

    target: Other
    proposal: Other | None


def is_student(setup: Setup) -> bool:
    """Returns whether the run is a student, and so estimates the log Z of its teacher."""
    model = build.target(setup.config["model"])
    return roles(model).density is TractableDensity and "teacher" in setup.config["objective"]


def teacher_of(setup: Setup) -> Other:
    """Returns the only teacher of a student.

    Raises:
        Mistake: there are several.
    """
    return other(setup, TEACHER, f"dgmrun log_z run=TEACHER {PROPOSAL}=STUDENT measures each of them")


def subject(run: Run, setup: Setup) -> Subject:
    """Returns the run and its configured proposal; for a student, its teacher and the run as the proposal."""
    me = Other(run, setup)
    if is_student(setup):
        return Subject(teacher_of(setup), me)
    return Subject(me, _proposal(setup))


def log_z_methods(setup: Setup, word: str = "log_z") -> dict[str, LogZMethod]:
    """Returns the log Z methods that `<word>.methods` selects; auto selects all that apply.

    Raises:
        Mistake: a method is unknown, has an invalid setting, or does not apply to the model.
    """
    student = is_student(setup)
    if student and setup.config["log_z"]["proposal"] is not None:
        raise Mistake(f"`{PROPOSAL}` must be null for a student, which is one itself: give it to its teacher's run")
    its = teacher_of(setup).setup if student else setup
    has_proposal = student or _proposal(setup) is not None
    (model, whole), choice = Chain.of(its.new_model()), setup.config["choices"]["model"]
    if has_proposal and model is not whole and {model.event.kind, whole.event.kind} != {"binary"}:
        its_choice = its.config["choices"]["model"]
        raise Mistake(
            f"`{PROPOSAL}` must be of a model without latent layers, or one of bits alone, but is of {its_choice}"
        )
    every: dict[str, LogZMethod] = {
        name: method for name, method in made(setup, "log_z", model).items() if method.needs_proposal or not student
    }
    if not every or not roles(build.target(its.config["model"])).needs_log_z:
        of = f"{choice}, whose teacher is no such model" if is_student(setup) else choice
        raise Mistake(f"`{word}` must have a model with an unnormalised density, or a student of one, but has {of}")
    asked = setup.config[word]["methods"]
    if asked == "auto":
        return {
            name: method
            for name, method in every.items()
            if method.is_automatic(model) and (has_proposal or not method.needs_proposal)
        }
    selected = chosen(word, asked, every)
    for name, method in selected.items():
        if word == "log_z":
            check_proposal(name, method, has_proposal)
        build.checked(method.check, model)
    return selected


def scoring_methods(setup: Setup, word: str) -> dict[str, Any]:
    """Returns the likelihood or fidelity methods that `<word>.methods` selects.

    Raises:
        Mistake: a method is unknown, or does not apply to the model or the data.
    """
    model = setup.new_model()
    tongue = language(setup)
    known = {
        None: True,
        "modes": setup.is_of_x and build.modes(setup.config["dataset"]) is not None,
        "language": tongue is not None,
        "validity": tongue is not None and tongue.is_valid is not None,
        "teacher": has_known_teacher(setup),
        "features": setup.is_of_x,
    }
    fitting = made(setup, word, model)
    every: dict[str, Any] = {name: each for name, each in fitting.items() if known[each.needs]}
    asked, choice = setup.config[word]["methods"], setup.config["choices"]["model"]
    for name in [] if asked == "auto" else [asked] if isinstance(asked, str) else asked:
        if name in fitting and name not in every:
            raise Mistake(f"`{word}.methods` can have {name} only where {WHERE[fitting[name].needs]}")
    has_features = setup.config["fidelity"]["features"] is not None
    automatic = {
        name: method
        for name, method in every.items()
        if method.is_automatic(model) or (has_features and method.needs == "features")
    }
    if not every:
        raise Mistake(
            f"`{word}` must have a model that one of its methods fits, but `model` is {choice}",
            "fidelity in place of likelihood says how near samples are to data" if word == "likelihood" else None,
        )
    if asked == "auto" and not automatic:
        raise Mistake(f"`{word}.methods` must name some of {', '.join(every)} for the model {choice}, but is auto")
    selected = automatic if asked == "auto" else chosen(word, asked, every)
    for method in selected.values():
        build.checked(method.check, model)
        if method.needs in ("language", "validity") and tongue is not None and tongue.is_valid is not None:
            tongue.is_valid("")  # which refuses, before anything is trained, if what judges strings is not installed
    return _with_enough(setup, word, selected)


def _with_enough(setup: Setup, word: str, selected: dict[str, Any]) -> dict[str, Any]:
    """Returns the methods for which there are enough examples; refuses others, unless auto selects some without them.

    Raises:
        Mistake: a method has too few examples.
    """
    section = setup.config[word]
    names = [section["split"]] if isinstance(section["split"], str) else section["split"]
    sizes = {name: min(len(split.x), section["examples"] or sys.maxsize) for name, split in setup.data.splits.items()}
    smallest = min(names, key=lambda name: sizes[name])
    enough = {name: method for name, method in selected.items() if method.fewest <= sizes[smallest]}
    if len(enough) < len(selected) and not (enough and section["methods"] == "auto"):
        name, method = next((name, method) for name, method in selected.items() if name not in enough)
        larger = [split for split, size in sizes.items() if size >= method.fewest]
        key = f"{word}.examples" if section["examples"] else f"{word}.split"
        must = f"must have at least {method.fewest} examples for {word}.{name}"
        cure = f"{word}.split={larger[0]}" if larger else None
        raise Mistake(f"`{key}` {must}, but {smallest} has {sizes[smallest]}", cure)
    return enough


def quick_method(methods: Mapping[str, Method], model: nn.Module) -> Any:
    """Returns the method inexpensive enough for validation, an exact one if possible; None if there is none."""
    quick = [each for method in methods.values() if (each := method.quick(model)) is not None]
    return min(quick, key=lambda method: not method.is_exact, default=None)


def made(setup: Setup, group: str, model: Any) -> dict[str, Any]:
    """Returns all methods that apply to the class of a model, with the run's settings."""
    return {
        name: build.maker(group, node)()
        for name, node in setup.config[group].items()
        if name not in sections(group)[group] and suits(type(model), build.target(node).requires)
    }


def check_proposal(name: str, method: LogZMethod, has_proposal: bool) -> None:
    """Refuses a method that needs a proposal if there is none.

    Raises:
        Mistake: there is no proposal.
    """
    if method.needs_proposal and not has_proposal:
        raise Mistake(f"`{PROPOSAL}` must be given for {name}, but is null", f"{PROPOSAL}=RUN of a student")


def chosen(word: str, asked: str | list[str], every: Mapping[str, M]) -> dict[str, M]:
    """Returns the methods that `<word>.methods` names.

    Raises:
        Mistake: one is not among those that apply to the model.
    """
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names or [""]:
        if name not in every:
            raise Mistake(
                f"`{word}.methods` must be auto or among {', '.join(every)}, "
                f"but has {name or 'none'}{nearest(name, every)}"
            )
    return {name: every[name] for name in names}


def check_unused(setup: Setup, group: str) -> None:
    """Refuses settings of likelihood methods if the likelihood of the model rests on its log Z.

    Raises:
        Mistake: a setting differs from its default.
    """
    for name, file in options(group, setup.search_path).items():
        if setup.config[group].get(name) not in (None, yaml.safe_load(Path(file).read_text())[name]):
            raise Mistake(
                f"`{group}.{name}` must be left as it is for {setup.config['choices']['model']}, whose likelihood "
                "rests on its log Z",
                f"log_z.{name}...=... sets how that is found",
            )


def _proposal(setup: Setup) -> Other | None:
    """Returns the run that `log_z.proposal` names.

    Raises:
        Mistake: its density is not tractable.
    """
    if setup.config["log_z"]["proposal"] is None:
        return None
    found = other(setup, PROPOSAL)
    if roles(build.target(found.setup.config["model"])).density is not TractableDensity:
        raise Mistake(f"`{PROPOSAL}` must be a run whose model has log_prob and sample, but its model is {found.name}")
    return found
