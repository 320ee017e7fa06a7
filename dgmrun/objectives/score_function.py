r"""The ELBO with the score-function estimator: without a baseline REINFORCE, with all of them NVIL.

.. math:: \nabla \mathrm{ELBO} = E_q\Big[\nabla \log p(x, z) + \sum_l w_l \nabla \log q(z_l \mid z_{l-1})\Big]

with w the learning signal less a baseline: unbiased, whatever the baselines; with `scale` each layer's posterior has a
known positive multiple of its gradient.

References:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning.
    Paisley, Blei and Jordan (2012), Variational Bayesian inference with stochastic search,
    https://arxiv.org/abs/1206.6430.
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dgmrun.bounds import has_closed_form
from dgmrun.draws import sampled
from dgmrun.gradients.layers import learning
from dgmrun.gradients.score_function import leave_one_out, score_function
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.baselines import Baselines
from dgmrun.objectives.variational import Variational
from dgmrun.protocols import Batch, Source
from dgmrun.trace import Trace


class ScoreFunction(Variational):
    """Any posterior that can be sampled will do.

    Args:
        model: a latent variable model.
        optimization: how parameters follow the gradient.
        k: samples of z for each example, of whose estimates the mean is taken.
        analytic: whether the divergence of the top layer is in closed form; the score function of a single layer then
            weighs log p(x|z) alone. Not together with `scale`, of which the divergence would know nothing.
        layer_local: whether each layer is weighed with what depends on it alone, or with the whole bound.
        leave_one_out: whether the mean of an example's other samples is taken from each.
        running_mean: whether the running mean is taken from the signal; see `Baselines`.
        scale: `deviation` or `variance`, of which the running one divides the signal; None for neither.
        network: hidden units of a net that predicts the signal from the layer below; None for none.

    Raises:
        ValueError: names the key.
    """

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        k: int = 1,
        analytic: bool = False,
        layer_local: bool = True,
        leave_one_out: bool = False,
        running_mean: bool = False,
        scale: str | None = None,
        network: int | None = None,
    ) -> None:
        super().__init__(model, optimization, k)
        if leave_one_out and k < 2:
            raise ValueError(f"`objective.k` must be at least 2 for objective.leave_one_out, but is {k}")
        self.analytic, self.layer_local, self.leave_one_out = analytic, layer_local, leave_one_out
        probe = self.probe()
        if analytic and not has_closed_form(probe):
            raise ValueError("`objective.analytic` must be false: the top layer has no divergence in closed form")
        if analytic and scale is not None:
            raise ValueError(f"`objective.scale` must be null where objective.analytic is true, but is {scale}")
        event: Any = self.model.event
        inputs = [event.dims, *(z.shape[-1] for z in probe.z[:-1])]
        self.baselines = Baselines(inputs, running_mean, scale, network)

    def source(self, data: Source) -> Source:
        """The data; running moments start at 0, where the model is."""
        self.baselines.moments = self.baselines.moments.to(next(self.model.parameters()))
        return super().source(data)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus the ELBO, in nats per example, with the gradient of the estimator."""
        trace = self.trace(batch, sampled(self.k))
        surrogate, residuals = self.surrogate(trace, batch)
        self.baselines.observe(residuals)
        bound = -trace.log_w.detach().mean()
        return surrogate + (bound - surrogate).detach(), {"bound": bound}

    def surrogate(self, trace: Trace, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """What has minus the estimate as its gradient, and the error of the nets; and s - C(y) of each layer."""
        direct, log_q, signals = learning(trace, self.analytic)
        signals = [signal.detach() for signal in (signals if self.layer_local else [signals[0]] * len(signals))]
        if self.leave_one_out:
            signals = [signal - leave_one_out(signal) for signal in signals]
        residuals = self.baselines.residuals(signals, [batch.x.flatten(1), *trace.z[:-1]])
        weights = self.baselines.weights(residuals)
        estimate = direct.mean() + sum(map(score_function, weights, log_q))
        error: Any = sum(weight.square().mean() for weight in weights) if self.baselines.nets else 0.0
        return error - estimate, residuals

    def rank_state(self) -> dict[str, Any]:
        """Running moments of this process, [2, layers]."""
        return {"moments": self.baselines.moments}

    def load_rank_state(self, state: dict[str, Any]) -> None:
        """Takes them back.

        Raises:
            ValueError: they are not such as these.
        """
        moments, own = state["moments"], self.baselines.moments
        if moments.shape != own.shape or not torch.isfinite(moments).all():
            raise ValueError(f"its moments must be finite numbers {list(own.shape)}, but are {list(moments.shape)}")
        own.copy_(moments)
