"""Evaluation of a trained model on a split or on its own samples, as shared by `likelihood` and `fidelity`."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dgmrun.data import transform
from dgmrun.data.splits import SPLITS
from dgmrun.errors import Mistake, nearest
from dgmrun.estimators.perplexity import perplexities
from dgmrun.estimators.sampling import Sampled, can_be_exact
from dgmrun.estimators.shares import is_first
from dgmrun.estimators.units import in_original_units
from dgmrun.protocols.models import Sampler, Topped, UnnormalisedDensity, roles
from dgmrun.protocols.values import Batch, Evidence
from dgmrun.protocols.words import KINDS, unigram
from dgmrun.report import text
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure
from dgmrun.workbench import build, excess
from dgmrun.workbench.features import features, training
from dgmrun.workbench.inputs import teacher
from dgmrun.workbench.over_log_z import OverLogZ, ThroughLogZ
from dgmrun.workbench.selection import check_unused, log_z_methods, made, scoring_methods
from dgmrun.workbench.setup import Setup
from dgmrun.workbench.strings import language

log = logging.getLogger("dgmrun")
SIMULATED = "simulated"
"""Name, in place of that of a split, for examples sampled from the model."""


class Scored(NamedTuple):
    """Examples to be scored.

    Args:
        evidence: the examples, as passed to methods.
        places: their indices in the split.
        log_jacobian: log-Jacobian that converts their log-probabilities to original units, in nats.
    """

    evidence: Evidence
    places: Tensor
    log_jacobian: Tensor


def splits(setup: Setup, word: str) -> list[str]:
    """Returns the splits that `<word>.split` selects.

    Raises:
        Mistake: one does not exist.
    """
    asked = setup.config[word]["split"]
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names or [""]:
        if name not in SPLITS:
            raise Mistake(
                f"`{word}.split` must be among {', '.join(SPLITS)}, but has {name or 'none'}{nearest(name, SPLITS)}"
            )
    return list(dict.fromkeys(names))


def methods(setup: Setup, word: str) -> dict[str, Any]:
    """Returns the selected methods of a stage; the likelihood of an unnormalised model uses its log Z methods.

    Raises:
        Mistake: a method is unknown or does not apply to the model.
    """
    density = roles(build.target(setup.config["model"])).density
    if word == "likelihood" and rests_on_log_z(setup):
        check_unused(setup, word)
        return dict(log_z_methods(setup, word))
    if word == "likelihood" and density is Topped:
        log_z_methods(setup)
    return scoring_methods(setup, word)


def needs_log_z(setup: Setup) -> bool:
    """Returns whether likelihoods need log Z: those of an unnormalised density, or of a model with one at its top."""
    return roles(build.target(setup.config["model"])).needs_log_z


def rests_on_log_z(setup: Setup) -> bool:
    """Returns whether likelihoods are found by the methods for log Z: those of an unnormalised density."""
    return roles(build.target(setup.config["model"])).density is UnnormalisedDensity


def score(run: Run, setup: Setup, word: str) -> None:
    """Evaluates the selected methods on the selected splits, in original units, and records the figures."""
    model: Any = setup.trained_model(run)
    if word == "fidelity" and not isinstance(model, Sampler):
        model = Sampled(model, setup.training_x, setup.config[word]["burn_in"])
    selected = prepared(run, setup, word, model)
    handed = _handed(setup, {method.needs for method in selected.values()})
    for name, method in selected.items():
        with seeded(setup.config["seed"], word, "adapted"), bar(f"{word}.{name}"):
            known = method.adapted(model, selecting(setup, word, splits(setup, word)))
        for split in [SIMULATED] if method.simulates else splits(setup, word):
            with seeded(setup.config["seed"], word, name, split):
                scored = simulated(setup, known, method.simulates) if method.simulates else of_split(setup, split, word)
                evidence = scored.evidence._replace(**handed.get(method.needs, {}))
                with bar(f"{word}.{name}"):
                    values, figure = measured(run, setup, method, known, scored._replace(evidence=evidence), split)
            figure.warnings.extend(caveats(run) if word == "likelihood" else of_samples(model, setup.shortcut(model)))
            if is_first():
                _record(run, word, name, figure, (values, scored.places) if method.is_per_example else None)
                if word == "likelihood" and setup.event.kind in KINDS:
                    _record_perplexities(run, setup, name, values, figure, scored.evidence.batch.x)
    if word == "likelihood" and is_first():
        suspects = [name for name, method in made(setup, word, model).items() if method.may_exceed]
        excess.flag(run, suspects, model)


def _handed(setup: Setup, needs: Collection[str | None]) -> dict[str | None, dict[str, Any]]:
    """Returns parts of the evidence that only some methods need, by what they need."""
    makers: dict[str | None, Callable[[], dict[str, Any]]] = {
        "teacher": lambda: {"teacher": teacher(setup, torch.float64)},
        "features": lambda: {"features": features(setup), "train": training(setup)},
    }
    return {need: make() for need, make in makers.items() if need in needs}


def caveats(run: Run) -> list[str]:
    """Returns what the likelihood of a student does not say of its teachers, of those without a density."""
    without = [str(given.get("model")) for given in run.results.get("inputs", []) if given.get("has_density") is False]
    return [
        f"of the student alone: its teacher, a {name}, has no density, and this neither is its likelihood nor bounds it"
        for name in dict.fromkeys(without)
    ]


def of_samples(model: Any, shortcut: str | None) -> list[str]:
    """Returns what is said of samples that are the ends of chains, or that are not drawn as the model says."""
    if shortcut is not None:
        return [f"samples are {shortcut}: see `sample.sampler` and `sample.steps`"]
    if not isinstance(model, Sampled) or can_be_exact(model.model):
        return []
    where = "its base distribution" if roles(type(model.model)).needs_log_z else "training examples"
    return [f"samples are the ends of chains of {model.burn_in} steps from {where}: try others for `fidelity.burn_in`"]


def measured(
    run: Run, setup: Setup, method: Any, model: Any, scored: Scored, split: str | None
) -> tuple[Tensor, Figure]:
    """Returns the value of each example by a method, and their mean, in original units."""
    started = time.perf_counter()
    values, estimate = in_original_units(method(model, scored.evidence), scored.log_jacobian)
    sizes = setup.event.size_of(scored.evidence.batch.x)
    figure = Figure.made(
        estimate,
        of=run.identity(),
        split=split,
        examples=len(sizes),
        size=float(sizes.mean()),
        given=setup.config["given"],
        seconds=time.perf_counter() - started,
    )
    figure.warnings.extend(excess.impossible(setup.event, figure))
    return values, figure


def of_split(setup: Setup, split: str, word: str) -> Scored:
    """Returns the examples of a split, or a random subset of `<word>.examples` that is the same for all runs."""
    batch, log_jacobian = setup.scored(split), setup.log_jacobian(split)
    places = setup.places(split, setup.config[word]["examples"])
    valid = selecting(setup, word, [split])
    return of_batch(setup, batch.subset(places), log_jacobian[places], valid, setup.population(split))


def selecting(setup: Setup, word: str, scored: Collection[str]) -> Batch:
    """Returns the validation examples that may select hyperparameters where these splits are scored: the others."""
    valid = setup.scored("valid")
    if "valid" not in scored:
        return setup.seen(valid)
    is_free = torch.ones(len(valid.index), dtype=torch.bool)
    is_free[setup.places("valid", setup.config[word]["examples"])] = False
    return setup.seen(valid.subset(is_free.nonzero().squeeze(1)))


def of_batch(setup: Setup, batch: Batch, log_jacobian: Tensor, valid: Batch, population: int | None = None) -> Scored:
    """Returns examples that a model may have seen or not, with the log-Jacobian of each [N]."""
    modes, tongue = build.modes(setup.config["dataset"]), language(setup)
    evidence = Evidence(
        setup.seen(batch),
        valid,
        modes=modes,
        original=setup.original,
        population=population,
        class_counts=setup.class_counts,
        language=tongue,
        train=None if tongue is None else setup.scored("train").x,
    )
    return Scored(evidence, batch.index, log_jacobian)


def simulated(setup: Setup, model: Any, num: int) -> Scored:
    """Returns `num` examples sampled from the model, with their z; contexts, if any, are those of the test split."""
    test = setup.seen(setup.scored("test"))
    context = None if test.context is None else test.context[torch.arange(num) % len(test.context)]
    x, z = model.dream(num, context)
    log_jacobian = transform.log_jacobian(setup.back, x.cpu())
    places = torch.arange(num)
    evidence = Evidence(Batch(x, places, context), selecting(setup, "likelihood", []), torch.cat(z, -1)[0])
    return Scored(evidence, places, log_jacobian)


def prepared(run: Run, setup: Setup, word: str, model: Any) -> dict[str, Any]:
    """Returns the selected methods, combined with the run's log Z where they need it."""
    selected, density = methods(setup, word), roles(type(model)).density
    if word == "likelihood" and density is UnnormalisedDensity:
        return {name: ThroughLogZ(run, setup, name, method) for name, method in selected.items()}
    if word == "likelihood" and density is Topped:
        return {
            f"{name}-{of}": OverLogZ(run, setup, of, log_z, method)
            for name, method in selected.items()
            for of, log_z in log_z_methods(setup).items()
        }
    return selected


def _record(run: Run, word: str, name: str, figure: Figure, scores: tuple[Tensor, Tensor] | None) -> None:
    label = name if figure.split == "test" else f"{name}@{figure.split}"
    if scores is not None:
        values, index = (part.cpu().numpy() for part in scores)
        of, file = ("log_prob", name) if word == "likelihood" else ("value", f"{word}.{name}")
        run.write_arrays(f"per_example/{figure.split}-{file}.npz", **{of: values, "index": index})
    run.record(word, label, figure)
    log.info(text.line(word, label, figure, run.results.get("dataset")))


def _record_perplexities(run: Run, setup: Setup, name: str, log_prob: Tensor, figure: Figure, x: Tensor) -> None:
    of_unigram = unigram(setup.event, x, setup.event.log_frequencies(setup.scored("train").x).to(x.device))
    sizes = setup.event.size_of(x)
    some = int((sizes > 0).sum())
    found: Any = perplexities(log_prob, figure, sizes, of_unigram)
    for per, perplexity in found.items():
        _record(run, "perplexity", f"{name}{per}", dataclasses.replace(perplexity, examples=some), None)


def draw(run: Run, formats: Sequence[str]) -> None:
    """Plots how the test figures based on samples of z converge, beside the others."""
    from dgmrun.pictures import drawing, evidence, found

    entries = found.of_weights(run.results, "likelihood", run.weights_sha256())
    entries = {name: each for name, each in entries.items() if "@" not in name}
    shown = found.curves(entries)
    if not shown.methods:
        return
    with drawing.harmless("the likelihood"):
        most = max(count for rows in shown.methods.values() for count, *_ in rows)
        every = evidence.Curves({**shown.methods, **found.levels(entries, most)}, shown.exact)
        picture = evidence.curves({"": every}, "log-likelihood")
        drawing.write(run, "likelihood", {"likelihood": picture}, formats)
