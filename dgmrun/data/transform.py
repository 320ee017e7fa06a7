r"""Transforms of data that are not binary to what the model sees, with the Jacobian back to original units.

.. math::  \log p(\text{original}) = \log p(\text{seen}) + \log |\partial\,\text{seen} / \partial\,\text{original}|

- `none`: the data are left as they are.
- `levels`: grey levels k / 255 become integers k, 0 to 255.
- `dequantise`: (k + u) / 256, with u uniform in [0, 1) and redrawn for every batch.
- `jitter`: counts k become k + u, with u uniform in [0, 1) and redrawn for every batch, then standardised.
- `logit`: dequantised y, then logit(alpha + (1 - 2 alpha) y), alpha = 1e-6.
- `standardise`: each dimension minus its mean, divided by its standard deviation, both over the training split.

The original unit of grey levels is one level. A density p of k + u, on [0, 256)^D, gives a lower bound on the
probability of k, E_u log p(k + u) <= log P(k), where P(k) is the integral of p over u, so that -log p / (D ln 2) is
comparable with the bits per dimension of discrete models (Theis, van den Oord and Bethge 2016, A note on the
evaluation of generative models, section 3.1). `logit` follows Papamakarios, Pavlakou and Murray 2017, Masked
autoregressive flow, section 4.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions.transforms import AffineTransform, ComposeTransform, SigmoidTransform, Transform

from dgmrun.data.splits import Split
from dgmrun.errors import Mistake, nearest
from dgmrun.protocols.values import Event

LEVELS, ALPHA = 256, 1e-6
TO_LEVELS = AffineTransform(0.0, float(LEVELS))
UNSQUEEZE = AffineTransform(-ALPHA / (1 - 2 * ALPHA), 1 / (1 - 2 * ALPHA))
BLOCK = 1000
MOST_DROPPED = 12
"""Most columns that a hint tells to drop."""


class Conversion(NamedTuple):
    """Properties of a transform.

    Args:
        takes: kinds of data that it accepts; None for any.
        gives: kind of what the model sees; None if unchanged.
        of_levels: whether it takes grey levels k / 255, with one level as the original unit.
        is_noisy: whether it adds noise within a level.
        back: maps from what the model sees to original units, unless they depend on the data.
    """

    takes: tuple[str, ...] | None
    gives: str | None
    of_levels: bool = False
    is_noisy: bool = False
    back: tuple[Transform, ...] = ()


TRANSFORMS = {
    "none": Conversion(None, None),
    "levels": Conversion(("unit",), "levels", of_levels=True),
    "dequantise": Conversion(("unit",), "unit", of_levels=True, is_noisy=True, back=(TO_LEVELS,)),
    "logit": Conversion(
        ("unit",), "real", of_levels=True, is_noisy=True, back=(SigmoidTransform(), UNSQUEEZE, TO_LEVELS)
    ),
    "jitter": Conversion(("counts",), "real", is_noisy=True),
    "standardise": Conversion(("unit", "real", "counts"), "real"),
}


def transformed(event: Event, transform: str, binarisation: str) -> Event:
    """Returns the event after the transform; raises Mistake if `transform` does not suit `event`."""
    if transform != "none" and binarisation != "none":
        raise Mistake(
            f"`dataset.transform` must be none where `dataset.binarisation` is {binarisation}, but is {transform}",
            hint=f"dataset.binarisation=none dataset.transform={transform}",
        )
    fitting = [name for name, each in TRANSFORMS.items() if each.takes is None or event.kind in each.takes]
    if transform not in fitting:
        near = nearest(str(transform), fitting)
        raise Mistake(
            f"`dataset.transform` must be {' or '.join(fitting)} for {event.kind} data, but is {transform}{near}",
            hint=None if near else "dataset.transform=none",
        )
    kind = TRANSFORMS[transform].gives
    return event if kind is None else replace(event, kind=kind, size=LEVELS if kind == "levels" else None)


def levels(x: Tensor, transform: str) -> Tensor:
    """Converts grey levels k / 255 to integers k, uint8.

    Raises:
        Mistake: they are not multiples of 1 / 255.
    """
    if not _are_levels(x):
        cure = "none" if TRANSFORMS[transform].gives != "real" else None if _constant(x) else "standardise"
        raise Mistake(
            "`dataset.transform` must be none or standardise where grey levels are other fractions than k / 255, "
            f"but is {transform}",
            hint=cure and f"dataset.transform={cure}",
        )
    return (x * (LEVELS - 1)).round().to(torch.uint8)


def _are_levels(x: Tensor) -> bool:
    scaled = x * (LEVELS - 1)
    return bool((scaled - scaled.round()).abs().max() <= 1e-3)


def jittered(k: Tensor) -> Tensor:
    """Returns k + u, with u uniform in [0, 1)."""
    return k + torch.rand(k.shape, device=k.device)


def inverse(transform: str, x: Tensor, train: Split, kind: str) -> ComposeTransform:
    """Returns the map from what the model sees to original units.

    Args:
        transform: name of the transform.
        x: training split in original units [N, *event.shape].
        train: training split as loaded.
        kind: kind of its examples.

    Raises:
        Mistake: a dimension is constant, and cannot be standardised.
    """
    if transform not in ("standardise", "jitter"):
        return ComposeTransform(list(TRANSFORMS[transform].back))
    deviation, mean = torch.std_mean(x.double(), dim=0, correction=0)
    if transform == "jitter":
        return ComposeTransform([AffineTransform(mean + 1 / 2, (deviation.square() + 1 / 12).sqrt())])
    if constant := _constant(x):
        raise Mistake(
            "`dataset.transform` must not be standardise where a dimension of the training split is constant, but "
            f"{train.column(constant[0])} is, as are {len(constant)} in all",
            hint=_cure(constant, train, kind),
        )
    return ComposeTransform([AffineTransform(mean, deviation)])


def _constant(x: Tensor) -> list[int]:
    """Returns the dimensions that are constant."""
    found: list[int] = (x.amax(0) == x.amin(0)).flatten().nonzero().flatten().tolist()
    return found


def _cure(constant: list[int], train: Split, kind: str) -> str | None:
    """Returns the settings by which models of real numbers take data with constant dimensions, if there are any."""
    if train.key is not None and len(constant) <= MOST_DROPPED and len(constant) < train.x[0].numel():
        return f"dataset.drop=[{','.join(map(train.key, constant))}]"
    if kind == "unit" and not _are_levels(train.x):
        return None
    cure = {"unit": "logit", "counts": "jitter"}.get(kind, "none")
    return f"dataset.transform={cure}"


def seen(back: ComposeTransform, x: Tensor) -> Tensor:
    """Maps `x` from original units to what the model sees, in float32 unless it is uint8."""
    found = back.inv(x) if back.parts else x
    return found.float() if found.is_floating_point() else found


def log_jacobian(back: ComposeTransform, x: Tensor) -> Tensor:
    """Returns log |d seen / d original| at `x` [N, *event.shape], as the model sees it, in nats, float64 [N]."""
    if not back.parts:
        return torch.zeros(len(x), dtype=torch.float64)
    blocks = (block.double() for block in x.split(BLOCK))
    return torch.cat([-back.log_abs_det_jacobian(block, back(block)).flatten(1).sum(1) for block in blocks])
