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
from dgmrun.errors import Mistake, nearest
from dgmrun.protocols.sparse import entries
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

Noise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Preparation:
    """Settings of a dataset that say how it is made ready.

    Args:
        binarisation: `fixed`, `threshold`, `dynamic` or `none`.
        transform: `levels`, `dequantise`, `jitter`, `logit`, `standardise` or `none`.
        pixel_order: `row`, `column` (images are transposed, as MATLAB stores them) or None.
    """

    binarisation: str
    transform: str
    pixel_order: str | None

    @property
    def noise(self) -> Noise | None:
        """What is drawn for each batch."""
        if self.binarisation == "dynamic":
            return bernoulli
        return transforms.jittered if transforms.TRANSFORMS[self.transform].is_noisy else None

    def event(self, event: Event) -> Event:
        """Returns the event of examples in original units, from `dataset.event`."""
        binary = binarised(event, self.binarisation)
        of_levels = transforms.TRANSFORMS[self.transform].of_levels
        return replace(binary, kind="levels", size=transforms.LEVELS) if of_levels else binary

    def exact(self, x: Tensor) -> Tensor:
        """Returns data as loaded in original units, before noise: binary, levels, or the numbers of the file."""
        if self.binarisation == "threshold":
            return threshold(x)
        if transforms.TRANSFORMS[self.transform].of_levels:
            return transforms.levels(x, self.transform)
        return x if self.transform == "none" else x.to_dense()

    def ordered(self, x: Tensor) -> Tensor:
        """Returns upright images as they are, or transposed for `column`.

        Raises:
            Mistake: the order is unknown, or does not suit the data.
        """
        if self.pixel_order not in (None, "row", "column"):
            near = nearest(str(self.pixel_order), ("row", "column"))
            raise Mistake(f"`dataset.pixel_order` must be row, column or null, but is {self.pixel_order}{near}")
        if self.pixel_order != "column":
            return x
        if x.dim() < 3 or x.shape[-1] != x.shape[-2]:
            raise Mistake("`dataset.pixel_order` must be row or null but for square pictures, but is column")
        return x.transpose(-1, -2).contiguous()


@dataclass(frozen=True)
class Prepared:
    """Splits ready for use, and the inverse of their transform.

    Args:
        splits: splits as the model sees them, except that noise is not yet applied to the training split.
        noise: draws binary data from grey levels, or dequantises them; None if nothing is drawn.
        back: maps what the model sees back to original units.
        loaded: splits as loaded.
        preparation: how they were made ready.
    """

    splits: Splits
    noise: Noise | None
    back: ComposeTransform
    loaded: Splits
    preparation: Preparation

    def draw(self) -> Noise | None:
        """Returns the random map from rows of the training split to what the model sees, or None for the identity."""
        noise, back = self.noise, self.back
        return None if noise is None else lambda x: transforms.seen(back, noise(x))

    def scored(self, split: str) -> Tensor:
        """Returns x of a split as it is evaluated; noise is drawn once, the same for every run."""
        x = self.splits[split].x
        return x if self.noise is None or split != "train" else transforms.seen(self.back, _drawn(self.noise, x, split))

    def original(self, split: str) -> Tensor:
        """Returns x of a split in original units, before noise: bits, grey levels k, or the numbers of the file."""
        if self.preparation.binarisation == "dynamic":
            return self.preparation.ordered(self.scored(split))  # transposed twice, if at all
        return self.preparation.exact(self.loaded[split].x).to_dense()

    def seen(self, x: Tensor, split: str) -> Tensor:
        """Returns examples in original units as the model sees them; noise is drawn as for this split."""
        noisy = x if self.noise is None else _drawn(self.noise, x, split)
        return transforms.seen(self.back, self.preparation.ordered(noisy))

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
        binarisation: see `Preparation`.
        transform: see `Preparation`.
        pixel_order: see `Preparation`.

    Raises:
        Mistake: the data do not match their description, or a setting does not suit them.
    """
    transforms.transformed(binarised(event, binarisation), transform, binarisation)
    check(splits, event, labels)
    preparation = Preparation(binarisation, transform, pixel_order)
    noise, ordered = preparation.noise, preparation.ordered
    exact = {name: preparation.exact(split.x) for name, split in splits.items()}
    back = transforms.inverse(transform, ordered(exact["train"]), splits["train"], event.kind)
    found = Prepared({}, noise, back, splits, preparation)
    waiting = () if noise is None else ("train",)
    ready = {name: ordered(x) if name in waiting else found.seen(x, name) for name, x in exact.items()}
    if not all(entries(x).isfinite().all() for x in ready.values()):
        must = "`dataset.transform` must be standardise where numbers are beyond the range of float32, but is"
        raise Mistake(f"{must} {transform}", "dataset.transform=standardise")
    return replace(found, splits={name: replace(split, x=ready[name]) for name, split in splits.items()})


def _drawn(noise: Noise, x: Tensor, split: str) -> Tensor:
    """Draws the noise once, the same for every run, for scoring a split."""
    with seeded(0, "binarise", split):
        return noise(x)
