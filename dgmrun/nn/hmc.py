r"""Annealing from a prior to a posterior over continuous z by Hamiltonian Monte Carlo.

.. math:: \log f_\beta(z) = \log p(z) + \beta \log p(x \mid z)

References:
    Neal (2011), MCMC using Hamiltonian dynamics, https://arxiv.org/abs/1206.1901, figure 2.
    Wu, Burda, Salakhutdinov and Grosse (2017), On the quantitative analysis of decoder-based generative models,
    https://arxiv.org/abs/1611.04273, section 3 and appendix.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]
"""Maps states [chains, batch, units] to log-densities in nats [chains, batch]."""
LEAPFROGS = 10
FIRST_STEP = 0.1
ACCEPTED = 0.65
"""Target acceptance rate of the step sizes."""
FASTER, SLOWER = 1.05, 0.95


class PosteriorPath:
    """Annealing path of a batch of examples from p(z) to p(z|x). A state is [chains, batch, units].

    There is one step size for each example and temperature. `tuned` finds them in a preliminary run and keeps them
    fixed afterwards, so that every transition leaves its target invariant.

    Args:
        log_prior: log p(z).
        log_likelihood: log p(x|z) of the batch.
        prior: draws z [chains, batch, units], given the number of chains.
    """

    def __init__(self, log_prior: LogDensity, log_likelihood: LogDensity, prior: Callable[[int], Tensor]) -> None:
        self.log_prior, self.log_likelihood, self.prior = log_prior, log_likelihood, prior
        self.betas: Tensor | None = None
        self.step_sizes: Tensor | None = None

    def log_normaliser(self) -> Tensor:
        """Returns 0, since the prior is normalised."""
        return torch.zeros(())

    def start(self, num: int) -> Tensor:
        """Samples from the prior."""
        return self.prior(num)

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        """Makes one HMC transition at `next_beta`; also returns the increment of the log-weight, [chains, batch]."""
        with torch.no_grad():
            increment = (next_beta - beta) * self.log_likelihood(state)
        state, _ = hmc(self._at(next_beta), state, self._step_size(next_beta))
        return state, increment

    def tuned(self, betas: Tensor, num_chains: int) -> PosteriorPath:
        """Returns the path with step sizes tuned in a preliminary run along `betas`, which ascend."""
        path = PosteriorPath(self.log_prior, self.log_likelihood, self.prior)
        state = self.prior(num_chains)
        step_size = state.new_full(state.shape[1:2], FIRST_STEP)
        found = []
        for beta in betas.to(state):
            state, acceptance = hmc(self._at(beta), state, step_size)
            step_size = step_size * torch.where(acceptance.mean(0) > ACCEPTED, FASTER, SLOWER)
            found.append(step_size)
        path.betas, path.step_sizes = betas.to(state), torch.stack(found)
        return path

    def _at(self, beta: Tensor) -> LogDensity:
        return lambda z: self.log_prior(z) + beta * self.log_likelihood(z)

    def _step_size(self, beta: Tensor) -> Tensor:
        if self.betas is None or self.step_sizes is None:
            return beta.new_tensor(FIRST_STEP)
        return self.step_sizes[torch.searchsorted(self.betas, beta).clamp_(max=len(self.betas) - 1)]


def hmc(log_f: LogDensity, z: Tensor, step_size: Tensor) -> tuple[Tensor, Tensor]:
    """Makes one HMC transition of LEAPFROGS steps; returns the next state and the acceptance probability.

    Args:
        log_f: log-density of the target, up to a constant.
        z: current state, [..., units].
        step_size: step size, [...], broadcast against the state; each chain scales it by a random factor between 0.5
            and 1.5, to avoid periodic trajectories.
    """
    step = (step_size * (0.5 + torch.rand_like(z[..., 0]))).unsqueeze(-1)
    momentum = torch.randn_like(z)
    log_f_z, slope = _slope(log_f, z)
    before = log_f_z - momentum.square().sum(-1) / 2
    end, momentum = z, momentum + step / 2 * slope
    for place in range(LEAPFROGS):
        end = end + step * momentum
        log_f_end, slope = _slope(log_f, end)
        momentum = momentum + (step if place < LEAPFROGS - 1 else step / 2) * slope
    after = log_f_end - momentum.square().sum(-1) / 2
    acceptance = torch.exp(after - before).nan_to_num(0.0).clamp(max=1)
    accepted = torch.rand_like(acceptance) < acceptance
    return torch.where(accepted.unsqueeze(-1), end, z), acceptance


def _slope(log_f: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = log_f(z)
        (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope
