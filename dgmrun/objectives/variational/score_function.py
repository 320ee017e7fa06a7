r"""ELBO with the score-function estimator: REINFORCE without baselines, NVIL with all of them.

.. math:: \nabla \mathrm{ELBO} = E_q\Big[\nabla \log p(x, z) + \sum_l w_l \nabla \log q(z_l \mid z_{l-1})\Big]

where w is the learning signal minus a baseline. It is unbiased for any baseline; `scale` multiplies the gradient of
each layer's posterior by a known positive factor.

References:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning.
    Paisley, Blei and Jordan (2012), Variational Bayesian inference with stochastic search,
    https://arxiv.org/abs/1206.6430.
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.distributions import Bernoulli

from dgmrun.gradients.layers import is_independent, learning, rao_blackwellised
from dgmrun.gradients.score_function import leave_one_out, score_function
from dgmrun.latent.bounds import has_closed_form
from dgmrun.latent.draws import sampled
from dgmrun.latent.trace import Trace
from dgmrun.nn.context import ContextVector
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.objectives.variational.baselines import Baselines
from dgmrun.protocols.values import Batch


class ScoreFunction(Variational):
    """Maximises the ELBO with any posterior that can be sampled.

    Args:
        model: a latent variable model.
        optimization: optimiser settings.
        k: number of samples of z for each example; the estimate is averaged over them.
        analytic: whether the KL divergence of the top layer is computed in closed form; the learning signal of a single
            layer is then log p(x|z) alone. Cannot be combined with `scale`, which would not apply to the divergence.
        layer_local: whether the learning signal of each layer has only the terms that depend on it, rather than all.
        rao_blackwell: whether terms that depend only on other units of the layer are omitted from the signal of a unit.
        leave_one_out: whether the mean of the example's other samples is subtracted from the signal of each.
        centre: running `mean` or `optimal` constant to subtract from the signal, or `none`; see `Baselines`.
        scale: running standard `deviation` or `variance` by which the signal is divided, or `none`.
        network: number of hidden units of a network that predicts the signal from the layer below; 0 for none.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        k: int = 1,
        analytic: bool = False,
        layer_local: bool = True,
        rao_blackwell: bool = False,
        leave_one_out: bool = False,
        centre: str = "none",
        scale: str = "none",
        network: int = 0,
    ) -> None:
        super().__init__(model, optimization, k)
        if leave_one_out and k < 2:
            raise ValueError(f"`objective.k` must be at least 2 for objective.leave_one_out, but is {k}")
        self.analytic, self.layer_local, self.leave_one_out = analytic, layer_local, leave_one_out
        self.rao_blackwell = rao_blackwell
        probe = self.probe()
        if analytic and not has_closed_form(probe):
            raise ValueError("`objective.analytic` must be false: the top layer has no divergence in closed form")
        if analytic and scale != "none":
            raise ValueError(f"`objective.scale` must be none where objective.analytic is true, but is {scale}")
        if rao_blackwell and not all(map(is_independent, probe.q)):
            raise ValueError("`objective.rao_blackwell` must be false: units of the posterior depend on each other")
        if centre == "optimal" and not all(isinstance(q, Bernoulli) for q in probe.q):
            raise ValueError("`objective.centre` must be mean or none but for independent binary units, but is optimal")
        event: Any = self.model.event
        units = [z.shape[-1] for z in probe.z]
        self.vector = ContextVector(event if network else None)
        self.baselines = Baselines([self.vector.size, *units[:-1]], units, centre, scale, network)
        self.rank_state = self.baselines.state

    def unscale(self) -> None:
        """Disables the division of the signal."""
        self.baselines.scale = "none"

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus the ELBO, in nats per example, with the gradient of the estimator."""
        trace = self.trace(batch, sampled(self.k))
        surrogate, residuals = self.surrogate(trace, batch)
        self.baselines.observe(residuals, trace)
        bound = -trace.log_w.detach().mean()
        return surrogate + (bound - surrogate).detach(), {"bound": bound}

    def surrogate(self, trace: Trace, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Returns the surrogate loss, with the square error of the baseline networks, and s - C(y) of each layer."""
        direct, signals = learning(trace, self.analytic)
        signals = signals if self.layer_local else [signals[0]] * len(signals)
        if self.rao_blackwell:
            signals = rao_blackwellised(trace, signals, self.analytic)
        else:
            signals = [signal.unsqueeze(-1) for signal in signals]
        signals = [signal.detach() for signal in signals]
        if self.leave_one_out:
            signals = [signal - leave_one_out(signal) for signal in signals]
        below: list[Any] = [self.vector(batch.x, trace.log_px), *trace.z[:-1]] if self.baselines.nets else []
        residuals = self.baselines.residuals(signals, below)
        weights = self.baselines.weights(residuals)
        estimate = direct.mean() + sum(map(score_function, weights, trace.log_q_units))
        error: Any = sum(weight.square().mean() for weight in weights) if self.baselines.nets else 0.0
        return error - estimate, residuals
