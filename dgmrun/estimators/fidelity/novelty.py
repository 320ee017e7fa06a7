"""Share of the different valid strings that a model samples that are no training examples."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.strings import StringMethod, ratio, spelled, valid
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Novelty(StringMethod):
    """Number of different valid samples in no training string over that of different valid ones, as in MOSES.

    It is a ratio of two random numbers, estimated as such, with a bias of the order of 1 over the number of samples;
    see `dgmrun.estimators.strings`. As frequent strings count once, it rises with the number of samples where those of
    training are the likeliest: compare figures of as many samples. A model of the truth is not wholly new: near 0 tells
    of memory, near 1 of nothing good by itself. It costs to write every training string as those that mean the same are
    written; of molecules, 0.4 ms each.
    """

    quantity: ClassVar[str] = "novelty"

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "strings"], Estimate]:
        """Returns 1 for each different string that is new, else 0, and their share."""
        strings, language = self.drawn(model, evidence)
        assert evidence.train is not None
        counts = Counter(valid(strings, language))
        known = {*map(language.canonical, tracked(spelled(language, evidence.train)))}
        is_new = torch.tensor([string not in known for string in counts], dtype=torch.float64)
        new, different = int(is_new.sum()), len(counts)
        once = Counter(string not in known for string, times in counts.items() if times == 1)
        again = counts.total() - once.total()
        without = [(new - 1, different - 1, once[True]), (new, different - 1, once[False]), (new, different, again)]
        return is_new, ratio(self.quantity, new, different, without, "unknown", asdict(self))
