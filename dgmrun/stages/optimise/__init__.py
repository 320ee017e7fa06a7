"""`optimise`: a search of the latent space for strings with a better property than those of the training split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.errors import Mistake, nearest
from dgmrun.stages import FIGURES

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = FIGURES
MOST = 5000
"""Largest number of examples of a Gaussian process, of which a matrix of as many rows takes 200 MB."""
LEAST = {"optimise.examples": 2, "optimise.rounds": 1, "optimise.batch": 1, "optimise.candidates": 2}


def check(setup: Setup) -> None:
    """Refuses models without a latent space of strings, datasets whose strings have no properties, unknown words."""
    from dgmrun.protocols.models import Inference, fits
    from dgmrun.protocols.samplers import Decoding
    from dgmrun.stages.optimise.surrogates import SURROGATES
    from dgmrun.workbench import build

    names, config, model = setup.config["choices"], setup.config["optimise"], build.target(setup.config["model"])
    language = build.language(setup.config["dataset"])
    if language is None or not language.properties:
        raise Mistake(
            f"`optimise` must have strings with a property to measure, but `dataset` is {names['dataset']}",
            "dataset=equations",
        )
    if not (fits(model, Inference) and fits(model, Decoding)) or not setup.is_of_x:
        raise Mistake(
            f"`optimise` must have a model of strings with a latent space, but `model` is {names['model']}",
            "model=grammar_vae or model=string_vae",
        )
    for key, known in (("property", [None, *language.properties]), ("surrogate", [*SURROGATES])):
        if config[key] not in known:
            listed = " or ".join("null" if each is None else each for each in known)
            near = nearest(str(config[key]), [each for each in known if each])
            raise Mistake(f"`optimise.{key}` must be {listed}, but is {config[key]}{near}")
    if config["surrogate"] == "gaussian_process" and config["examples"] > MOST:
        must = f"`optimise.examples` must be at most {MOST} for a Gaussian process, whose time grows as the cube"
        raise Mistake(f"{must}, but is {config['examples']}", "optimise.surrogate=linear takes more")


def main(run: Run, setup: Setup) -> None:
    """Searches, and records what was found beside the best of the training split."""
    from dgmrun.stages.optimise.search import optimise

    optimise(run, setup)
