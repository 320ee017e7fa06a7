r"""Likelihood-free variational inference: the posterior of a simulator, from samples alone.

.. math:: \min_q \mathrm{KL}(q(x)\, q(z \mid x) \,\|\, p(x, z)) = \min_q E_{q(x)} E_{q(z \mid x)}[T^*(x, z)], \qquad
          T^*(x, z) = \log q(x)\, q(z \mid x) - \log p(x, z)

where q(x) is the distribution of the data. T learns T* from pairs of data with z of q, and pairs of the simulator. The
minimum is at q(z | x) = p(z | x), whatever the data; the divergence is then that of q(x) and p(x).

References:
    Tran, Ranganath and Blei (2017), Hierarchical implicit models and likelihood-free variational inference,
    https://arxiv.org/abs/1702.08896, section 3 and algorithm 1; their ratio is -T.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from dgmrun.objectives.adversarial.contrast import ContrastGame
from dgmrun.protocols.contrast import Simulating
from dgmrun.protocols.values import Batch


class LFVI(ContrastGame):
    """Minimises the divergence of both joint distributions, as far as T is right. The simulator has nothing to learn.

    Each step costs a simulation of as many examples as there are in a batch.
    """

    requires: ClassVar[type] = Simulating

    def ratios(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns T at data with a sample of q each, and at as many pairs of the simulator, [1, batch] both."""
        model: Any = self.model
        z, x = model.simulated(len(batch.x))
        return model.log_ratio(batch.x, model.infer(batch.x, 1)), model.log_ratio(x, z)

    def costs(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns T at a sample of q for each example, whose mean is the divergence if T is right."""
        model: Any = self.model
        return model.log_ratio(batch.x, model.infer(batch.x, 1))[0], {}
