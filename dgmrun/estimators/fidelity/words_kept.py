"""Share of the words that a classifier of texts keeps, and so predicts by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.density import EXAMPLES, LONE
from dgmrun.estimators.shares import of_blocks
from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.readers import Reader
from dgmrun.protocols.values import Estimate, Evidence, half_width


@dataclass(frozen=True)
class WordsKept(FidelityMethod):
    r"""Number of words kept over the number of words, both of all texts: a ratio estimate r = sum k_n / sum t_n.

    .. math:: \mathrm{SE}^2 = \frac{\mathrm{var}(k_n - r\, t_n)}{N\, \bar t^2}

    Cochran (1977), Sampling techniques, equation 2.39. Padding counts neither as kept nor as a word.
    """

    requires: ClassVar[Any] = Reader

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the number of words kept of each text, over the mean number of words, and the share."""
        kept = torch.cat(
            of_blocks(lambda block: model.read(block.context)[0].double().sum(-1), evidence.batch, EXAMPLES)
        )
        assert evidence.batch.context is not None
        words = (evidence.batch.context != 0).sum(-1).double()
        share, num, length = float(kept.sum() / words.sum()), len(kept), float(words.mean())
        error = float((kept - share * words).std()) / length / math.sqrt(num) if num > 1 else None
        half = None if error is None else half_width(error, num)
        estimate = Estimate(
            "words_kept",
            value=share,
            standard_error=error,
            interval=None if half is None else (max(0.0, share - half), min(1.0, share + half)),
            kind="estimate",
            bias="unknown",  # of a ratio, of the order 1 / N
            samples=num,
            diagnostics={"words": float(words.sum()), "kept": float(kept.sum())},
            warnings=[LONE] * (error is None),
        )
        return kept / length, estimate
