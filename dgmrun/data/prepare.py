"""Preparation of loaded data for a run: checks, binarisation, transform and pixel order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor
from torch.distributions.transforms import ComposeTransform

from dgmrun.data import transform as transforms
from dgmrun.data.binarise import bernoulli, binarised, threshold
from dgmrun.data.check import check
from dgmrun.data.splits import Splits
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

Noise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Prepared:
    """Splits ready for use, and the inverse of their transform.

    Args:
        splits: splits as the model sees them, except that noise is not yet applied to the training split.
        noise: draws binary data from grey levels, or dequantises them; None if nothing is drawn.
        back: maps what the model sees back to original units.
        loaded: splits as loaded.
    """

    splits: Splits
    noise: Noise | None
    back: ComposeTransform
    loaded: Splits

    def draw(self) -> Noise | None:
        """Returns the random map from rows of the training split to what the model sees, or None for the identity."""
        noise, back = self.noise, self.back
        return None if noise is None else lambda x: transforms.seen(back, noise(x))

    def scored(self, split: str) -> Tensor:
        """Returns x of a split as it is evaluated; noise is drawn once, the same for every run."""
        x = self.splits[split].x
        return x if self.noise is None or split != "train" else transforms.seen(self.back, _drawn(self.noise, x, split))

    def log_jacobian(self, split: str) -> Tensor:
        """Returns what to add to log-probabilities of `scored(split)` for original units, in nats, float64 [N]."""
        return transforms.log_jacobian(self.back, self.scored(split))


def prepare(
    splits: Splits,
    *,
    event: Event,
    labels: Event | None,
    binarisation: str,
    transform: str,
    pixel_order: str | None,
) -> Prepared:
    """Checks splits and makes them ready for use.

    If there is noise, the source draws that of the training split batch by batch; that of valid and test is drawn
    here, once, and is the same for every run.

    Args:
        splits: splits as loaded, on the CPU.
        event: event of the examples, `dataset.event`.
        labels: event of the labels, `dataset.labels`.
        binarisation: `fixed`, `threshold`, `dynamic` or `none`.
        transform: `levels`, `dequantise`, `jitter`, `logit`, `standardise` or `none`.
        pixel_order: `row`, `column` (images are transposed, as MATLAB stores them) or None.

    Raises:
        Mistake: the data do not match their description, or a setting does not suit them.
    """
    transforms.transformed(binarised(event, binarisation), transform, binarisation)
    check(splits, event, labels)
    noise = _noise(binarisation, transform)
    waiting = () if noise is None else ("train",)
    originals = {}
    for name, split in splits.items():
        x = _exact(split.x, binarisation, transform)
        originals[name] = _ordered(x if noise is None or name in waiting else _drawn(noise, x, name), pixel_order)
    back = transforms.inverse(transform, originals["train"])
    ready = {name: x if name in waiting else transforms.seen(back, x) for name, x in originals.items()}
    if not all(x.isfinite().all() for x in ready.values()):
        must = "`dataset.transform` must be standardise where numbers are beyond the range of float32, but is"
        raise Mistake(f"{must} {transform}", "dataset.transform=standardise")
    return Prepared({name: replace(split, x=ready[name]) for name, split in splits.items()}, noise, back, splits)


def _noise(binarisation: str, transform: str) -> Noise | None:
    if binarisation == "dynamic":
        return bernoulli
    return transforms.jittered if transforms.TRANSFORMS[transform].is_noisy else None


def _exact(x: Tensor, binarisation: str, transform: str) -> Tensor:
    """Returns the data before noise, in original units: binary, levels, or the numbers of the file."""
    if binarisation == "threshold":
        return threshold(x)
    return transforms.levels(x, transform) if transforms.TRANSFORMS[transform].of_levels else x


def _drawn(noise: Noise, x: Tensor, split: str) -> Tensor:
    """Draws the noise once, the same for every run, for scoring a split."""
    with seeded(0, "binarise", split):
        return noise(x)


def _ordered(x: Tensor, pixel_order: str | None) -> Tensor:
    """Returns upright images, or transposed ones for `column`."""
    if pixel_order not in (None, "row", "column"):
        raise Mistake(f"`dataset.pixel_order` must be row, column or null, but is {pixel_order}")
    if pixel_order != "column":
        return x
    if x.dim() < 3 or x.shape[-1] != x.shape[-2]:
        raise Mistake("`dataset.pixel_order` must be row or null but for square pictures, but is column")
    return x.transpose(-1, -2).contiguous()
