"""Plots of the latent space of a latent variable model, made by the stage `sample`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from numpy import ndarray
from torch import Tensor

from dgmrun.estimators.local import local
from dgmrun.estimators.marginal import ACTIVE, posterior_means
from dgmrun.latent import draws
from dgmrun.latent.bounds import resampled
from dgmrun.protocols.models import Annealable
from dgmrun.protocols.topics import Topical
from dgmrun.protocols.values import Batch
from dgmrun.workbench.setup import Setup

if TYPE_CHECKING:
    from dgmrun.pictures.drawing import Picture
    from dgmrun.pictures.topics import Words

SEEN = 2000
"""Number of test examples to encode."""
WORDS = 10
"""Number of words of each topic."""
WALKS, STEPS, FURTHEST = 8, 9, 3.0
"""Number of latent traversals (units), number of values of each unit, and the largest of them."""


@torch.no_grad()
def figures(model: Any, setup: Setup, count: int) -> dict[str, Picture]:
    """Plots reconstructions, active units, posterior means in two dimensions, and latent traversals.

    A single test example is not enough for these plots.
    """
    from dgmrun.pictures import latent, topics

    batch = setup.seen(setup.scored("test").rows(slice(SEEN)))
    if len(batch.x) < 2:
        return {}
    posterior = local(model, batch, None)
    means = posterior_means(model, batch, posterior)
    variances = [mean.var(0) for mean in means]
    drawn = {"activity": latent.activity([variance.cpu().numpy() for variance in variances], ACTIVE)}
    most = variances[0].argsort(descending=True)
    if isinstance(model, Annealable) and len(most) > 1:
        labels = setup.data.splits["test"].y
        y = None if labels is None or labels.dim() > 1 else labels[:SEEN].cpu().numpy()
        names = (f"unit {int(most[0]) + 1} of layer 1", f"unit {int(most[1]) + 1} of layer 1")
        drawn["map"] = latent.scatter(means[0][:, most[:2]].cpu().numpy(), y, names)
    if isinstance(model, Topical):
        drawn["topics"] = topics.bars(_words(model, setup, means[0]))
    if setup.event.is_picture:
        first = None if posterior is None else posterior[:count]
        drawn["reconstructions"] = _reconstructions(model, setup, batch.rows(slice(count)), first)
        if isinstance(model, Annealable):
            context = None if batch.context is None else batch.context[:1]
            drawn["walks"] = _walks(model, setup, means[0][0], most[:WALKS], context)
    return drawn


def _words(model: Any, setup: Setup, means: Tensor) -> list[Words]:
    """Returns the topics whose posterior means [examples, topics] vary most first, with their words."""
    from dgmrun.pictures.topics import Words

    nats, places = model.raised().topk(min(WORDS, setup.event.dims), 1)
    name, number = setup.data.splits["train"].column, (nats > 0).sum(1).tolist()
    return [
        Words(
            k + 1,
            float(means[:, k].mean()),
            list(map(name, places[k, : number[k]].tolist())),
            nats[k, : number[k]].tolist(),
        )
        for k in means.var(0).argsort(descending=True).tolist()
    ]


def _reconstructions(model: Any, setup: Setup, batch: Batch, posterior: Tensor | None) -> Picture:
    """Plots data, and means of p(x|z) for z from the posterior, plain and resampled by importance weight."""
    from dgmrun.pictures import gallery

    k = max(2, setup.config["objective"].get("k", 1))
    trace = model.trace(batch.x, draws.sampled(k), batch.context, posterior)
    panels = {"data": batch.x, "reconstructed": model.decode(trace.z[0][:1], batch.context)[0]}
    panels[f"resampled of {k}"] = model.decode(resampled(trace)[0], batch.context)[0]
    return gallery.side_by_side({name: _shown(setup, part) for name, part in panels.items()})


def _walks(model: Any, setup: Setup, z: Tensor, units: Tensor, context: Tensor | None) -> Picture:
    """Plots traversals of single units from -3 to 3, from the posterior mean `z` of the first example."""
    from dgmrun.pictures import latent

    values = torch.linspace(-FURTHEST, FURTHEST, STEPS, device=z.device)
    places = z.repeat(len(units), STEPS, 1)
    for row, unit in enumerate(units):
        places[row, :, unit] = values
    told = None if context is None else context.expand(STEPS, *context.shape[1:])
    pictures = _shown(setup, model.decode(places, told).flatten(0, 1))
    rows = pictures.reshape(*places.shape[:2], *pictures.shape[1:])
    return latent.walks(rows, values.tolist(), [f"unit {int(unit) + 1}" for unit in units])


def _shown(setup: Setup, x: Tensor) -> ndarray:
    """Converts model inputs, or their means, to images as displayed."""
    return setup.shown(setup.back(x.cpu())).numpy()
