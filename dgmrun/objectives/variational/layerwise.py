r"""ELBO of layers of independent binary units, with a score-function gradient and a control variate for each layer.

The control variate of layer l depends on the sampled values of the layers below, and on a differentiable form of
layer l and those above. It must be applied to one layer at a time: applied to all at once, it would cause bias.
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
    """Base class; subclasses estimate the gradient in the log-odds of one layer.

    Args:
        model: a model with binary latent units, those of a layer independent given the layer below.
        optimization: optimiser settings.
        k: number of samples of z for each example; the estimate is averaged over them.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = BinaryLatents

    def __init__(self, model: nn.Module, optimization: Optimization, k: int) -> None:
        super().__init__(model, optimization, k)
        self.check_factorised()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus the ELBO, in nats per example, with the gradient of the estimator."""
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
        """Returns the gradient in the log-odds of a layer, [samples, batch, units].

        Args:
            batch: the examples.
            trace: trace of the binary samples.
            layer: index of the layer; 0 is the one next to x.
            f: learning signal of the layer, [samples, batch].
            noise: the uniform variables from which the units were sampled.
        """

    @abstractmethod
    def tuning(self, estimates: Sequence[Tensor]) -> Tensor:
        """Returns a scalar of value 0, whose gradient trains the parameters of the control variates, if any."""

    def signal(self, batch: Batch, trace: Trace, layer: int, z: Tensor, above: Draw) -> Tensor:
        """Returns the learning signal of a layer at values `z`, with the layers above drawn by `above`.

        The parameters of the model are held fixed.
        """
        known = [*trace.z[:layer], z]
        with frozen(self.model.parameters()):
            drawn = self.trace(batch, lambda place, q: known[place] if place <= layer else above(place, q))
            return learning(drawn).signals[layer]


class Noise:
    """Uniform variables from which the units of each layer are sampled.

    Args:
        samples: number of samples for each example.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.logits: list[Tensor] = []
        self.u: list[Tensor] = []

    def hard(self, layer: int, q: Distribution) -> Tensor:
        """Samples binary units, and stores their log-odds and uniform variables."""
        assert isinstance(q, Bernoulli)
        a = q.logits if q.logits.dim() > 2 else q.logits.expand(self.samples, -1, -1)
        self.logits.append(a)
        self.u.append(uniform(a))
        return (logistic(a.detach(), self.u[-1]) > 0).to(a)
