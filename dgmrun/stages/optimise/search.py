"""Bayesian optimisation of a property of strings in the latent space of a model.

A surrogate is fitted to values of training strings at their posterior means. In each round, strings are drawn at the
places z at which it expects the most improvement, and new ones are measured and added, those that are not valid with
the worst value that was seen.

References:
    Gomez-Bombarelli et al. (2018), Automatic chemical design using a data-driven continuous representation of
    molecules, https://arxiv.org/abs/1610.02415.
    Kusner, Paige and Hernandez-Lobato (2017), Grammar variational autoencoder, https://arxiv.org/abs/1703.01925,
    section 4.3: batches by expected improvement, in which the most frequent of 25 strings of a place is measured.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dgmrun.errors import RunFailed
from dgmrun.estimators.marginal import posterior_means
from dgmrun.estimators.strings import spelled
from dgmrun.protocols.language import Language
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Batch, Estimate
from dgmrun.report.optimised import Found, Outcome
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure
from dgmrun.stages.optimise.surrogates import SURROGATES, Array
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")
BLOCK = 1000
"""Number of strings at a time."""
BEST = 20
"""Number of places near which half of the candidates are."""
NEAREST, FURTHEST = 0.03, 1.0
"""How far from there they are, in standard deviations of z over training strings."""


class Space(NamedTuple):
    """What is searched.

    Args:
        draw: strings at places z [places, units]; those that mean the same are spelled alike.
        measure: the property of a string, None if it is not valid.
        sign: 1 if lower values are better, else -1.
        training: training strings, in the order of the examples.
        known: values of those that have one.
    """

    draw: Callable[[Array], list[str]]
    measure: Callable[[str], float | None]
    sign: int
    training: Sequence[str]
    known: Mapping[str, float]


def optimise(run: Run, setup: Setup) -> None:
    """Searches; prints what was found beside the best of the training split, and plots how it went."""
    from dgmrun.pictures import drawing, optimised

    started, config = time.perf_counter(), setup.config["optimise"]
    language, model = build.language(setup.config["dataset"]), setup.trained_model(run)
    assert language is not None
    name = config["property"] or next(iter(language.properties))
    is_lower = language.properties[name].better == "lower"
    with seeded(setup.config["seed"], "optimise"), bar("optimise"):
        batch = setup.scored("train")
        space = space_of(model, language, name, batch.x)
        places = chosen(space, config["examples"])
        z = latents(model, setup, batch.subset(places))
        found = search(space, z, [space.known[space.training[place]] for place in places.tolist()], config)
    outcome = Outcome(name, is_lower, found, space.known)
    if not outcome.best:
        raise RunFailed("`optimise` must find new strings that are valid, but finds none", "train longer")
    run.record("optimise", name, figure(run, setup, outcome, time.perf_counter() - started))
    for line in outcome.lines():
        log.info("%s", line)
    with drawing.harmless("what was found"):
        drawing.write(run, "optimise", {"optimised": optimised.draw(outcome)}, setup.formats)


def space_of(model: Any, language: Language, name: str, x: Tensor) -> Space:
    """Returns what is searched for a property, given the training strings x.

    Raises:
        RunFailed: no training string has the property.
    """
    measured, is_valid = language.properties[name], language.is_valid
    like = next(model.parameters())

    def alike(string: str) -> str:
        return language.canonical(string) if is_valid is None or is_valid(string) else string

    def draw(z: Array) -> list[str]:
        blocks = [torch.from_numpy(z[start : start + BLOCK]).to(like) for start in range(0, len(z), BLOCK)]
        return [alike(string) for block in blocks for string in spelled(language, model.drawn(block))]

    def measure(string: str) -> float | None:
        if is_valid is not None and not is_valid(string):
            return None
        value = measured.measure(string)
        return value if math.isfinite(value) else None

    training = [alike(string) for string in tracked(spelled(language, x))]
    values = {string: measure(string) for string in tracked([*dict.fromkeys(training)])}
    known = {string: value for string, value in values.items() if value is not None}
    if not known:
        raise RunFailed(f"`optimise.property` must be one that some training strings have, but none has {name}")
    return Space(draw, measure, 1 if measured.better == "lower" else -1, training, known)


def chosen(space: Space, most: int) -> Tensor:
    """Returns the places of training strings from which the surrogate starts: half the best, the others at random."""
    strings = {string: place for place, string in enumerate(space.training) if string in space.known}
    ordered = sorted(strings, key=lambda string: space.sign * space.known[string])
    best, others = ordered[: most // 2], ordered[most // 2 :]
    drawn = torch.randperm(len(others))[: most - len(best)].tolist()
    return torch.tensor([strings[string] for string in [*best, *(others[place] for place in drawn)]])


def latents(model: Any, setup: Setup, batch: Batch) -> Array:
    """Returns the posterior means of z of strings, [N, units]."""
    means = [posterior_means(model, setup.seen(block), None)[0] for block in batch.blocks(BLOCK)]
    return torch.cat(means).double().cpu().numpy()


def search(space: Space, z: Array, values: Sequence[float], config: Mapping[str, Any]) -> list[Found]:
    """Returns the strings that were measured, in the order in which they were found; none is a training string.

    Args:
        space: what is searched.
        z: places of the training strings from which it starts, [N, units].
        values: their values.
        config: the section `optimise` of the configuration.
    """
    surrogate, y, found = SURROGATES[config["surrogate"]](), space.sign * np.array(values), dict[str, Found]()
    scale, old = z.std(0), {*space.training}
    for number in tracked(range(1, config["rounds"] + 1)):
        surrogate.fit(z, y)
        places = candidates(z, y, scale, config["candidates"])
        places = places[surrogate.improvement(places, y.min()).argsort()[::-1]]
        new = dict[str, int]()
        for place, string in enumerate(space.draw(places)):
            if string not in old and string not in found and len(new) < config["batch"]:
                new.setdefault(string, place)
        found |= {string: Found(string, space.measure(string), number) for string in new}
        measured = [found[string].value for string in new]
        y = np.append(y, [y.max() if value is None else space.sign * value for value in measured])
        z = np.concatenate((z, places[list(new.values())]))
    return list(found.values())


def candidates(z: Array, y: Array, scale: Array, num: int) -> Array:
    """Returns places [num, units]: half of them near the best so far, at distances of every size, half from N(0, 1)."""
    near = num // 2
    best = z[y.argsort()[:BEST]]
    centres = best[torch.randint(len(best), (near,)).numpy()]
    distance = NEAREST * (FURTHEST / NEAREST) ** torch.rand(near, 1, dtype=torch.float64).numpy()
    noise = torch.randn(num, z.shape[1], dtype=torch.float64).numpy()
    return np.concatenate((centres + distance * scale * noise[:near], noise[near:]))


def figure(run: Run, setup: Setup, outcome: Outcome, seconds: float) -> Figure:
    """Returns the figure: the value of the best string."""
    string, value = outcome.best[0]
    estimate = Estimate(
        outcome.name,
        value=value,
        standard_error=0.0,
        interval=(value, value),
        kind="exact",
        bias="none",
        samples=len(outcome.found),
        settings={**setup.config["optimise"], "string": string},
        diagnostics=outcome.numbers(),
    )
    where = {"split": "train", "examples": len(outcome.training), "given": setup.config["given"]}
    return Figure.made(estimate, of=run.identity(), seconds=seconds, **where)
