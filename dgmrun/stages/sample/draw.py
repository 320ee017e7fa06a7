"""Samples of a model and its teachers beside data: samples.npz and a plot."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from numpy import ndarray
from torch import Tensor, nn

from dgmrun.errors import Mistake, printable
from dgmrun.estimators.sampling import can_be_exact, samples
from dgmrun.paths import short
from dgmrun.pictures import drawing, gallery, topics
from dgmrun.protocols.models import Averaged, Generative, LatentVariableModel, Pictured
from dgmrun.protocols.readers import Reader
from dgmrun.protocols.text import counted
from dgmrun.protocols.values import Batch
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.stages.sample import latent, medium, reading
from dgmrun.stages.sample.told import alike, contexts
from dgmrun.workbench import build
from dgmrun.workbench.inputs import TEACHER, teachers
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")


class Conditions(NamedTuple):
    """The context of samples.

    Args:
        context: context of each sample, [count, ...]; None for an unconditional model.
        columns: number of columns of the plot, so that each class has a row; None for as many columns as rows.
        alike: places of test examples of the same contexts, in order; None if some context has none.
    """

    context: Tensor | None
    columns: int | None
    alike: Tensor | None = None


def draw(run: Run, setup: Setup) -> None:
    """Draws, saves and plots the samples."""
    test, model = setup.scored("test"), setup.trained_model(run)
    given = conditions(setup, test)
    count = setup.config["sample"]["count"] if given.context is None else len(given.context)
    places: dict[str, slice | Tensor] = {"data": slice(count)}
    if given.alike is not None:
        places["alike"] = given.alike
    x, models = {name: setup.original(setup.seen(test.rows(its)).x) for name, its in places.items()}, [model]
    found = teachers(setup)
    if "teacher" in setup.config["objective"] and not found:
        log.warning("warning: no teacher is shown, as none is where it was: %s=DIR says where it is", TEACHER)
    for number, (its_run, its_setup) in enumerate(found, 1):
        models.insert(number - 1, its_setup.trained_model(its_run))
        name = "teacher" if len(found) == 1 else f"teacher_{number}"
        x[name] = drawn(models[number - 1], its_setup, setup, count, given).reshape(-1, *setup.event.shape)
    x["x"] = drawn(model, setup, setup, count, given)
    arrays = x if given.context is None else {**x, "given": given.context.cpu()}
    run.write_arrays("samples.npz", **{name: part.numpy() for name, part in arrays.items()})
    of_chains = f"chains of {setup.config['sample']['burn_in']} steps"
    how = setup.shortcut(model) or ("exact" if can_be_exact(model) else of_chains)
    run.merge({"sample": {"count": count, "how": how, "of": vars(run.identity())}})
    with drawing.harmless("the samples"):
        _show(run, setup, x, models, given)
    file = short(run.path / "figures" / f"samples.{' and .'.join(setup.formats)}")
    log.info("sample      %s (%s): %s", counted(count, "sample"), how, file)
    medium.write(run, setup, x)
    if given.context is not None and (words := build.classes(setup.config["dataset"])):
        rows = words if setup.config["sample"]["given"] is None else [words[each] for each in _classes(setup)]
        log.info("rows        %s", printable(", ".join(rows)))


def check_classes(setup: Setup) -> None:
    """Refuses classes that do not exist, and lists that are no attributes or captions.

    Raises:
        Mistake: a class or a list is invalid; the message names the key.
    """
    asked, context = setup.config["sample"]["given"], setup.context
    if asked is None:
        return
    if context is None or not (setup.is_of_x or context.is_class):
        raise Mistake(f"`sample.given` must be null unless labels are given, but is {asked}")
    if not context.is_class:
        contexts(asked, context)
        return
    most = (context.size or 2) - 1
    listed = _classes(setup)
    if not listed or not all(type(each) is int and 0 <= each <= most for each in listed):
        words = build.classes(setup.config["dataset"])
        told = ", ".join(words)
        or_words = f"from 0 to {most} or of {told}" if words else f"from 0 to {most}"
        known = f"among {told}" if _are_numbers(words) else or_words
        raise Mistake(f"`sample.given` must be null, or classes {known}, but is {asked}")


def _classes(setup: Setup) -> list[Any]:
    """Returns the classes that are asked for, by number; one that does not exist is returned as a word.

    Classes that are numbers in the user's data are asked for by these.
    """
    asked, words = setup.config["sample"]["given"], build.classes(setup.config["dataset"])
    named = [str(each) if _are_numbers(words) else each for each in (asked if isinstance(asked, list) else [asked])]
    return [words.index(each) if each in words else each for each in named]


def _are_numbers(words: Sequence[str]) -> bool:
    return any(word.isdecimal() for word in words)


def conditions(setup: Setup, test: Batch) -> Conditions:
    """Returns what `sample.given` asks for, or each class in turn, in equal shares; else contexts of test examples."""
    count, context = setup.config["sample"]["count"], setup.context
    if context is None or test.context is None:
        return Conditions(None, None)
    asked, is_class = setup.config["sample"]["given"], context.is_class
    if asked is None and not is_class:
        places = torch.arange(count) % len(test.x)
        return Conditions(setup.seen(test.rows(places)).context, None, places[: len(test.x)])
    if is_class:
        rows = torch.arange(context.size or 2) if asked is None else torch.tensor(_classes(setup))
    else:
        rows = contexts(asked, context)
    each = max(1, count // len(rows))
    every = rows.repeat_interleave(each, 0).reshape(-1, *context.shape)
    columns = each if len(rows) > 1 else None
    return Conditions(every.to(setup.device, context.dtype), columns, alike(every, test.context))


def _show(run: Run, setup: Setup, x: dict[str, Tensor], models: list[nn.Module], given: Conditions) -> None:
    """Plots samples beside data, of the same contexts if there are any, and filters of a student and its teacher."""

    def drawable(part: Tensor) -> ndarray:
        return part.cpu().float().numpy()

    its = f" given the same {setup.config['given']}" if given.alike is not None else ""
    title = f"{'student' if len(models) > 1 else 'samples'}{its}"
    parts = {**x, "data": x.get("alike", x["data"])}
    parts.pop("alike", None)
    by_title = {title if name == "x" else name: part for name, part in parts.items()}
    panels = {name: drawable(setup.shown(part)) for name, part in by_title.items()}
    plots = {"samples": medium.picture(setup, by_title) or gallery.samples(panels, given.columns)}
    mean = means(models[-1], setup, x["x"], given)
    if mean is not None and setup.event.is_picture:
        shown = {title: panels[title], "means": drawable(setup.shown(mean))}
        plots["means"] = gallery.side_by_side(shown, given.columns, "probability of a 1")
    seen = setup.seen(setup.scored("test").rows(slice(len(x["data"]))))
    pictures = [model.pictures(seen) for model in models if isinstance(model, Pictured)]
    filters = [each["filters"].reshape(-1, *setup.event.shape) for each in pictures if "filters" in each]
    if len(filters) == 2:
        plots["features"] = gallery.features(*(drawable(setup.upright(part)) for part in filters))
    if isinstance(models[-1], LatentVariableModel):
        with seeded(setup.config["seed"], "pictures"):
            plots |= latent.figures(models[-1], setup, len(x["data"]))
    if isinstance(models[-1], Reader):
        with seeded(setup.config["seed"], "pictures"):
            plots |= reading.figures(models[-1], setup, len(x["data"]))
    drawing.write(run, "sample", plots, setup.formats)
    if "topics" in plots:
        for line in topics.lines(plots["topics"]):
            log.info(line)


@torch.no_grad()
def means(model: nn.Module, setup: Setup, x: Tensor, given: Conditions) -> Tensor | None:
    """Returns the probabilities of which these binary samples are draws, if the model tells them."""
    if setup.event.kind != "binary":
        return None
    if isinstance(model, Averaged):
        with seeded(setup.config["seed"], "means"):
            return model.means(x.to(next(model.parameters())), given.context)
    if not isinstance(model, Generative):
        return None
    with seeded(setup.config["seed"], "sample"):
        again, z = model.dream(len(x), given.context)
    return model.decode(z[0], given.context)[0] if torch.equal(setup.original(again), x) else None


def drawn(model: nn.Module, its: Setup, asked: Setup, count: int, given: Conditions) -> Tensor:
    """Returns samples of a model in original units, with the seed and settings of the run that requests them."""
    with seeded(asked.config["seed"], "sample"), bar("sample"):
        return its.original(samples(model, count, its.training_x, asked.config["sample"]["burn_in"], given.context))
