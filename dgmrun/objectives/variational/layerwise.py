r"""The ELBO of layers of independent binary units, the score function of each corrected by a control variate.

A control variate of layer l has the layers below as they were drawn, layer l and those above in a form that can be
differentiated. Applied to all layers at once such corrections are biased.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution

from dgmrun.gradients.layers import learning
from dgmrun.gradients.relaxation import logistic, uniform
from dgmrun.latent.draws import Draw
from dgmrun.latent.trace import Trace
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.players import frozen
from dgmrun.objectives.variational.base import Variational
from dgmrun.protocols.models import BinaryLatents
from dgmrun.protocols.values import Batch


class Layerwise(Variational, ABC):
    """A subclass estimates the gradient in the log odds of one layer.

    Args:
        model: a latent variable model of binary units, those of a layer independent given the one below.
        optimization: how parameters follow the gradient.
        k: samples of z for each example, of whose estimates the mean is taken.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = BinaryLatents

    def __init__(self, model: nn.Module, optimization: Optimization, k: int) -> None:
        super().__init__(model, optimization, k)
        self.check_factorised()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus the ELBO, in nats per example, with the gradient of the estimator."""
        noise = Noise(self.k)
        trace = self.trace(batch, noise.hard)
        direct, signals = learning(trace)
        estimates = [self.estimate(batch, trace, layer, f.detach(), noise) for layer, f in enumerate(signals)]
        pairs = zip(noise.logits, estimates, strict=True)
        surrogate = -direct.mean() - sum((a * g.detach()).sum(-1).mean() for a, g in pairs)
        bound = -trace.log_w.detach().mean()
        return surrogate + self.tuning(estimates) + (bound - surrogate).detach(), {"bound": bound}

    @abstractmethod
    def estimate(self, batch: Batch, trace: Trace, layer: int, f: Tensor, noise: Noise) -> Tensor:
        """The gradient in the log odds of a layer, [samples, batch, units].

        Args:
            batch: the examples.
            trace: of hard units.
            layer: its number, the one next to x being 0.
            f: its learning signal, [samples, batch].
            noise: what the units were drawn with.
        """

    @abstractmethod
    def tuning(self, estimates: Sequence[Tensor]) -> Tensor:
        """A scalar of value 0, whose gradient trains the control variates; none where they have no parameters."""

    def signal(self, batch: Batch, trace: Trace, layer: int, z: Tensor, above: Draw) -> Tensor:
        """The learning signal of a layer, had it these values and those above were drawn so, the model held fixed."""

        def draw(place: int, q: Distribution) -> Tensor:
            return trace.z[place] if place < layer else z if place == layer else above(place, q)

        with frozen(self.model.parameters()):
            return learning(self.trace(batch, draw)).signals[layer]


class Noise:
    """Uniform variables behind the units of each layer.

    Args:
        samples: of each example.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.logits: list[Tensor] = []
        self.u: list[Tensor] = []

    def hard(self, layer: int, q: Distribution) -> Tensor:
        """Draws 0 or 1, and keeps with what."""
        assert isinstance(q, Bernoulli)
        a = q.logits if q.logits.dim() > 2 else q.logits.expand(self.samples, -1, -1)
        self.logits.append(a)
        self.u.append(uniform(a))
        return (logistic(a.detach(), self.u[-1]) > 0).to(a)
