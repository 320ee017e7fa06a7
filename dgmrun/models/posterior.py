r"""Posterior of a parameter vector, known up to the evidence: log Z is log p(D), by which models are compared.

.. math:: \log f(\theta) = \log p(D \mid \theta) + \log p(\theta), \qquad Z = \int f(\theta) d\theta = p(D)

References:
    MacKay (1992), Bayesian interpolation, section 3.
    Neal (2001), Annealed importance sampling, https://arxiv.org/abs/physics/9803008, section 3.
    Neal (2011), MCMC using Hamiltonian dynamics, https://arxiv.org/abs/1206.1901, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian, jacobian

from dgmrun.nn.bayes import LIKELIHOODS, knowledge, maximum
from dgmrun.nn.hmc import hmc
from dgmrun.protocols.values import Event

FLAT = 1e-6
"""Largest gain in nats, twice, that a parabola promises at the mode."""
STEP, SHORTER = 0.16, 50
"""Largest mean step size, of which LEAPFROGS are a quarter of a period of a standard normal, and by how much the least
is shorter: where f is steep, only short steps are taken, and chains would be stuck without them."""


class Posterior(nn.Module):
    r"""Density of the parameters of a Bayesian model, given observations that are among its settings.

    It has nothing to train: what it knows is in its weights as soon as it is made. Chains are of Hamiltonian Monte
    Carlo, and cost ten gradients of log f for each step.

    Args:
        event: event of a parameter vector; it must be [P] real numbers.
        likelihood: `logistic`, of bits given regressors; or `hierarchical`, of a measured effect in each group.
        inputs: columns of regressors, or the column of standard errors.
        outcomes: the bits or effects.
        columns: number of columns to use, the first ones.
        scale: standard deviation of the prior; see `dgmrun.nn.bayes.knowledge`.

    Raises:
        ValueError: a setting is invalid, or the event has another number of parameters; the message names the key.

    Example:
        >>> model = Posterior(Event((2,), "real"), "logistic", [[1.0, 2.0, 3.0]], [0, 0, 1], columns=1, scale=3.0)
        >>> model.log_unnormalised(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    mean: Tensor
    scale: Tensor
    mode: Tensor
    precision: Tensor

    def __init__(
        self,
        event: Event,
        likelihood: str,
        inputs: Sequence[Sequence[float]],
        outcomes: Sequence[float],
        columns: int,
        scale: float,
    ) -> None:
        super().__init__()
        event.require(("real",), "a posterior")
        known = knowledge(likelihood, inputs, outcomes, columns, scale)
        if event.shape != known.mean.shape:
            raise ValueError(
                f"`dataset.event` must have the shape {list(known.mean.shape)} of the model's settings, but "
                f"has {[*event.shape]}: dataset.columns={columns}, and the like, is for both"
            )
        self.event, self.likelihood = event, LIKELIHOODS[likelihood]
        self.inputs = nn.Parameter(known.inputs, requires_grad=False)
        self.outcomes = nn.Parameter(known.outcomes, requires_grad=False)
        self.register_buffer("mean", known.mean)
        self.register_buffer("scale", known.scale)
        mode = maximum(self.log_unnormalised, known.mean)
        precision = -hessian(self.log_unnormalised, mode)
        slope = jacobian(self.log_unnormalised, mode)
        is_peak = precision.isfinite().all() and not torch.linalg.cholesky_ex(precision.float()).info
        if not is_peak or slope @ torch.linalg.solve(precision, slope) > FLAT:
            raise ValueError(
                "`dataset.outcomes` and `dataset.scale` must be such that the posterior has a peak that can be found, "
                "but it has none, or too narrow a one"
            )
        self.register_buffer("mode", mode)
        self.register_buffer("precision", precision)
        self.to(torch.get_default_dtype())

    def log_prior(self, x: Tensor) -> Tensor:
        """log p(theta), [...]."""
        log_scale = self.scale.log().sum() + len(self.mean) * math.log(2 * math.pi) / 2
        return -((x - self.mean) / self.scale).square().sum(-1) / 2 - log_scale

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(D | theta), [...]."""
        return self.likelihood(x, self.inputs, self.outcomes)

    def log_unnormalised(self, x: Tensor) -> Tensor:
        """log p(D, theta), in nats [batch]."""
        return self.log_prior(x) + self.log_likelihood(x)

    @torch.no_grad()
    def walk(self, x: Tensor, steps: int) -> Tensor:
        """Makes `steps` transitions of Hamiltonian Monte Carlo from `x`."""
        path = PriorPath(self)
        move = path.transition(self.precision.new_ones(()))
        for _ in range(steps):
            x = move(x)
        return x

    def annealed(self, x: Tensor) -> PriorPath:
        """Path from the prior; `x` is unused."""
        return PriorPath(self)

    def peak(self) -> tuple[Tensor, Tensor]:
        """The mode of f [P], and the negative Hessian of log f there, [P, P]."""
        return self.mode, self.precision


class PriorPath:
    r"""Annealing from a prior to a posterior. A state is [chains, P].

    .. math:: \log f_\beta(\theta) = \log p(\theta) + \beta \log p(D \mid \theta)

    Trajectories are of :math:`L^\top \theta`, where :math:`L L^\top` is the precision of the prior plus
    :math:`\beta` times that of the likelihood at the mode: there, f_beta is nearly a standard normal, so that one step
    size suits every beta.
    """

    def __init__(self, model: Posterior) -> None:
        self.model = model
        self.of_prior = model.scale.pow(-2).diag()

    def log_normaliser(self) -> Tensor:
        """Returns 0, since the prior is normalised."""
        return torch.zeros(())

    def start(self, num: int) -> Tensor:
        """Samples of the prior, [num, P]."""
        return self.model.mean + self.model.scale * torch.randn(num, len(self.model.mean)).to(self.model.mean)

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        """Makes one transition at `next_beta`; also returns the increment of the log-weight, [chains]."""
        increment = (next_beta - beta) * self.model.log_likelihood(state)
        return self.transition(next_beta)(state), increment

    def transition(self, beta: Tensor) -> partial[Tensor]:
        """Returns a function that makes one transition of Hamiltonian Monte Carlo at `beta`."""
        root = torch.linalg.cholesky(torch.lerp(self.of_prior, self.model.precision, beta))
        return partial(self._transition, beta, root, torch.linalg.inv(root))

    def _transition(self, beta: Tensor, root: Tensor, inverse: Tensor, state: Tensor) -> Tensor:
        def log_f(z: Tensor) -> Tensor:
            theta = z @ inverse
            return self.model.log_prior(theta) + beta * self.model.log_likelihood(theta)

        step = STEP * SHORTER ** -torch.rand_like(state[:, 0]).pow(3)
        z, _ = hmc(log_f, state @ root, step)
        return z @ inverse
