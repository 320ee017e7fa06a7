"""What lies between a loader and a run: the checks, the binarisation, the transform and the pixel order."""

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
    """Splits ready for use, and the way back.

    Args:
        splits: what the model sees; where there is noise, the training split before it.
        noise: binarises grey levels or adds to them; None where nothing is drawn.
        back: from what the model sees to original units.
    """

    splits: Splits
    noise: Noise | None
    back: ComposeTransform

    def draw(self) -> Noise | None:
        """What makes of a batch of the training split what the model sees, anew each time; None: it is that already."""
        noise, back = self.noise, self.back
        return None if noise is None else lambda x: transforms.seen(back, noise(x))

    def scored(self, split: str) -> Tensor:
        """x of a split as it is evaluated: with noise, one draw, the same for every run."""
        x = self.splits[split].x
        return x if self.noise is None or split != "train" else transforms.seen(self.back, _drawn(self.noise, x, split))

    def log_jacobian(self, split: str) -> Tensor:
        """What each log-probability of `scored(split)` lacks to be in original units, in nats, float64 [N]."""
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
    """Checked splits, ready for use.

    Where there is noise, the training split waits for its source to draw it batch by batch; that of valid and test is
    drawn once, the same for every run.

    Args:
        splits: as a loader gives them, on the CPU.
        event: what the file holds, `dataset.event`.
        labels: what the labels are, `dataset.labels`.
        binarisation: `fixed`, `threshold`, `dynamic` or `none`.
        transform: `levels`, `dequantise`, `logit`, `standardise` or `none`.
        pixel_order: `row`, `column` (pictures are transposed, as MATLAB stores them) or None.
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
    return Prepared({name: replace(split, x=ready[name]) for name, split in splits.items()}, noise, back)


def _noise(binarisation: str, transform: str) -> Noise | None:
    if binarisation == "dynamic":
        return bernoulli
    return transforms.jittered if transforms.TRANSFORMS[transform].is_noisy else None


def _exact(x: Tensor, binarisation: str, transform: str) -> Tensor:
    """What is drawn from, or else the data in original units: binary, levels or the file's numbers."""
    if binarisation == "threshold":
        return threshold(x)
    return transforms.levels(x, transform) if transforms.TRANSFORMS[transform].of_levels else x


def _drawn(noise: Noise, x: Tensor, split: str) -> Tensor:
    """One draw, the same for every run: how a split is scored."""
    with seeded(0, "binarise", split):
        return noise(x)


def _ordered(x: Tensor, pixel_order: str | None) -> Tensor:
    """Upright pictures, or transposed ones for `column`."""
    if pixel_order not in (None, "row", "column"):
        raise Mistake(f"`dataset.pixel_order` must be row, column or null, but is {pixel_order}")
    if pixel_order != "column":
        return x
    if x.dim() < 3 or x.shape[-1] != x.shape[-2]:
        raise Mistake("`dataset.pixel_order` must be row or null but for square pictures, but is column")
    return x.transpose(-1, -2).contiguous()
