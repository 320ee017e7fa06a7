"""Protocol of models whose latent units are topics: each raises the probabilities of some words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Topical(Protocol):
    """A model of documents by topics, the units of its first latent layer."""

    def raised(self) -> Tensor:
        r"""What each word adds to the divergence of each topic alone from no topic, in nats, [topics, words].

        Its terms are :math:`p_k(w) \log (p_k(w) / p_0(w))`, and add up to KL(p_k || p_0).
        """
