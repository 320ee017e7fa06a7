r"""log p(x) of a latent variable model with few binary latent units, by a sum over all of their states.

.. math:: \log p(x) = \log \sum_z p(x, z)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.distributions import Distribution

from dgmrun.estimators.density import NORMALISED, in_double, log_likelihood
from dgmrun.estimators.marginal import TRACED
from dgmrun.estimators.shares import of_blocks
from dgmrun.latent.draws import Draw
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import BinaryLatents, Inference
from dgmrun.protocols.values import Batch, Estimate, Evidence

AUTOMATIC_BITS, MOST_BITS = 10, 14
"""Most latent units whose states are summed over by default, and at all."""


class EnumerableLatents(Inference, BinaryLatents, Protocol):
    """A latent variable model with binary latent units, the states of which can be summed over if they are few."""


@dataclass(frozen=True)
class Enumeration(LikelihoodMethod):
    """Mean log p(x), exact but for rounding: the ground truth for bounds.

    It costs 2^units decoder passes for each example.

    Args:
        max_bits: largest number of latent units, at most 14.

    Raises:
        ValueError: `max_bits` is not between 1 and 14.
    """

    requires: ClassVar[type] = EnumerableLatents
    is_exact: ClassVar[bool] = True
    max_bits: int = MOST_BITS

    def __post_init__(self) -> None:
        if not 1 <= self.max_bits <= MOST_BITS:
            raise ValueError(f"`likelihood.enumeration.max_bits` must be from 1 to {MOST_BITS}, but is {self.max_bits}")

    def check(self, model: EnumerableLatents) -> None:
        """Raises ValueError if there are more than `max_bits` latent units."""
        if (bits := model.latent_bits()) > self.max_bits:
            raise ValueError(
                f"`likelihood.methods` must not have enumeration above {self.max_bits} latent units, "
                f"but the model has {bits}"
            )

    def is_automatic(self, model: EnumerableLatents) -> bool:
        """Returns whether the sum has at most 2^10 terms."""
        return model.latent_bits() <= AUTOMATIC_BITS

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns log p of each example, and their mean."""
        self.check(model)
        same, batch = in_double(model, evidence.batch)
        states = 2 ** model.latent_bits()
        log_p = torch.cat(of_blocks(partial(_log_p, same, states), batch, max(1, TRACED // states)))
        estimate = log_likelihood(log_p, NORMALISED, evidence.population)
        return log_p, replace(estimate, samples=states, settings=asdict(self))


def _log_p(model: Any, states: int, batch: Batch) -> Tensor:
    log_p: Any = sum(model.trace(batch.x, _every(states, len(batch.x)), batch.context).log_p)
    found: Tensor = log_p.logsumexp(0).double()
    return found


def _every(states: int, examples: int) -> Draw:
    """Returns all states, whose binary digits are the units of the layers one after another."""
    taken = 0

    def draw(layer: int, q: Distribution) -> Tensor:
        nonlocal taken
        units, like = (*q.batch_shape, *q.event_shape)[-1], q.mean
        index = torch.arange(states, device=like.device)
        bits = (index.unsqueeze(-1) >> torch.arange(taken, taken + units, device=like.device)) & 1
        taken += units
        return bits.to(like).unsqueeze(1).expand(-1, examples, -1)

    return draw
