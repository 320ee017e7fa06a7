r"""Simulator with an implicit posterior: p(x | z) can be sampled, and neither it nor q(z | x) has a density.

.. math:: z \sim N(0, I), \quad x = \mathrm{simulate}(z), \quad q(z \mid x) \text{ by a map from noise}

A prior of another law is a part of the simulator, as a function of z. What changes with q in the ratio of both joint
densities is, for the most part, known: with r the Gaussian that has mean and variance of q (adaptive contrast),

.. math:: T(x, z) = \log r(z \mid x) - \log p(z) + \mathrm{net}(x, z, \tilde z), \qquad
          \mathrm{net}^* = \log \frac{q(z \mid x)}{r(z \mid x)} - \log \frac{p(x \mid z)}{q(x)}

where z~ is z in units of r. The last term does not depend on the posterior. A net that had to learn the first two as
well would lag behind a posterior that becomes narrower, and nothing would keep this from collapsing.

References:
    Mescheder, Nowozin and Geiger (2017), Adversarial variational Bayes, https://arxiv.org/abs/1701.04722, section 3.3.
    Tran, Ranganath and Blei (2017), Hierarchical implicit models and likelihood-free variational inference,
    https://arxiv.org/abs/1702.08896.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from dgmrun.nn.gaussian import standard_normal
from dgmrun.nn.implicit import Implicit, RatioNet
from dgmrun.nn.mlp import check_layers, mlp
from dgmrun.nn.settings import check_size
from dgmrun.nn.simulate import called, simulated
from dgmrun.nn.standardise import Standardise
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded


class Simulator(nn.Module):
    """A simulator that is a function, and what is learned about it. It is sampled from the prior.

    Networks see standardised x, by means and deviations of training data.

    Args:
        event: event of one example; it must be real, in the units of the simulator: dataset.transform=none.
        simulate: maps z [num, latent] to x [num, *event.shape], with random numbers of torch; it need not be
            differentiable. If it has a method `posterior`, which maps x [batch, *event.shape] to a distribution of
            torch with a density, over z [batch, latent], this is the exact p(z | x).
        latent: number of units of z.
        hidden: units of each hidden layer of the networks of q and T.
        activation: activation of hidden layers: tanh, relu, elu or softplus.
        noise: number of units of the noise of q, at least `latent`.
        basis: number of functions of the noise that each unit of z is a combination of.

    Raises:
        ValueError: a setting is invalid, or the simulator fails or gives other shapes; the message names its key.

    Example:
        >>> model = Simulator(Event((2,), "real"), simulate=lambda z: z + torch.randn_like(z), latent=2)
        >>> model.infer(model.sample(5), 7).shape
        torch.Size([7, 5, 2])
    """

    def __init__(
        self,
        event: Event,
        simulate: Callable[[Tensor], Tensor],
        latent: int,
        hidden: list[int] | tuple[int, ...] = (64, 64),
        activation: str = "elu",
        noise: int = 16,
        basis: int = 8,
    ) -> None:
        super().__init__()
        event.require(("real",), "a simulator, in units of its own", as_they_are=True)
        check_size("latent", latent, 1)
        check_layers(hidden, activation)
        self.event, self.latent, self.simulate = event, latent, simulate
        with seeded(0, "simulator"), torch.no_grad():
            self._check_posterior(simulated("model", simulate, torch.zeros(2, latent), event.shape))
        self.standardise, width = Standardise(event.dims), hidden[-1]
        a = mlp([event.dims, *hidden, Implicit.outputs(latent, basis)], activation)
        self.posterior = Implicit(a, latent, noise, basis, len(hidden), activation)
        self.ratio = RatioNet(mlp([event.dims, *hidden], activation), 2 * latent, width, len(hidden), activation)

    def _check_posterior(self, x: Tensor) -> None:
        """Raises ValueError if the posterior of two simulated examples is no distribution over z."""
        found, shape = self.exact_posterior(x), (2, self.latent)
        if found is None:
            return
        its = found.batch_shape + found.event_shape if isinstance(found, Distribution) else type(found).__name__
        if its != shape:
            must = f"have a posterior that is a distribution of torch over z {[*shape]} for two x"
            raise ValueError(f"`model.simulate` must {must}, but gives {its if isinstance(its, str) else [*its]}")

    def initialise(self, x: Tensor) -> None:
        """Takes means and deviations of data, by which networks see x."""
        self.standardise.fit(x)

    def infer(self, x: Tensor, num: int, context: None = None) -> Tensor:
        """Samples z of q(z | x), [num, batch, latent]; see `ImplicitPosterior`."""
        z: Tensor = self.posterior(self.standardise(x), num)
        return z

    def log_ratio(self, x: Tensor, z: Tensor, context: None = None) -> Tensor:
        """T(x, z), which stands for log q(x, z) - log p(x, z), [samples, batch]."""
        seen = self.standardise(x)
        r = self.posterior.moments(seen)
        known = (r.log_prob(z) - standard_normal(z).log_prob(z)).sum(-1)
        return known + self.ratio(seen, torch.cat((z, (z - r.mean) / r.stddev), -1))

    def ratio_parameters(self) -> list[nn.Parameter]:
        """The parameters of T."""
        return list(self.ratio.parameters())

    @torch.no_grad()
    def simulated(self, num: int) -> tuple[Tensor, Tensor]:
        """Samples z of the prior, [1, num, latent], and x given them, [num, *event.shape].

        Raises:
            SimulatorError: the simulator fails, or gives other shapes or numbers that are not finite.
        """
        z = self.standardise.mean.new_empty(num, self.latent).normal_()
        return z.unsqueeze(0), simulated("model", self.simulate, z, self.event.shape)

    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples x [num, *event.shape] of the prior predictive distribution."""
        return self.simulated(num)[1]

    def exact_posterior(self, x: Tensor) -> Distribution | None:
        """The exact p(z | x), if the simulator knows it; raises SimulatorError if that fails."""
        known: Callable[[Tensor], Distribution] | None = getattr(self.simulate, "posterior", None)
        return None if known is None else called("`model.simulate` must have a posterior of any x", known, x)
