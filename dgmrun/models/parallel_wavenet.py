r"""Parallel WaveNet: inverse autoregressive flows of dilated convolutions, which draw all steps of a sequence at once.

.. math:: z_t \leftarrow \mu(z_{<t}) + \sigma(z_{<t}) z_t, \qquad
          \log p(x) = \log N(z^{(0)}; 0, 1) - \sum_i \sum_t \log \sigma_i(z^{(i-1)}_{<t})

for each flow i, from noise z^(0) to the sequence x. It is the fast student of a slow teacher, `model=wavenet`, whose
density it approaches by `objective=distill_variational`: its own density costs one pass at its samples, but as many
steps as there are at given x, which are turned back into noise one after another.

References:
    van den Oord, Li, Babuschkin et al. (2018), Parallel WaveNet: fast high-fidelity speech synthesis,
    https://arxiv.org/abs/1711.10433, sections 3 and 4.
    Ping, Peng and Chen (2019), ClariNet: parallel wave generation in end-to-end text-to-speech,
    https://arxiv.org/abs/1807.07281, section 3.2: flows of Gaussian noise.
    Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling (2016), Improved variational inference with inverse
    autoregressive flow, https://arxiv.org/abs/1606.04934, equation 10.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from dgmrun.nn.context import ContextVector
from dgmrun.nn.dilated import Dilated
from dgmrun.nn.gaussian import standard_normal
from dgmrun.nn.inverse_autoregression import InverseAutoregression
from dgmrun.nn.settings import check_size
from dgmrun.nn.standardise import Standardise
from dgmrun.protocols.values import Event


class ParallelWaveNet(nn.Module):
    """A student of WaveNet: a sample costs one pass, and log p(x) as many steps as x has.

    Args:
        event: event of one example: real numbers, read in raster order.
        flows: number of flows, each a stack of dilated convolutions.
        layers: number of layers of a block, of dilations 1, 2, 4, ..., 2^(layers - 1).
        blocks: number of blocks of a flow.
        kernel: number of steps that a convolution reads.
        channels: number of features of a step in the layers.
        skip: number of features of a step that skip connections add up.
        context: event of the context, if any; of its vector y, each layer adds V y.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> student = ParallelWaveNet(Event((6,), "real"), flows=2, layers=2, channels=3)
        >>> x, log_p = student.rsample_and_log_prob(3)
        >>> torch.allclose(student.log_prob(x), log_p, atol=1e-4)
        True
    """

    def __init__(
        self,
        event: Event,
        flows: int = 2,
        layers: int = 8,
        blocks: int = 1,
        kernel: int = 2,
        channels: int = 16,
        skip: int = 32,
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("real",), "a parallel WaveNet")
        check_size("flows", flows, 1)
        self.event, self.context, self.vector = event, context, ContextVector(context)
        self.standardise = Standardise(1)
        self.flows = nn.ModuleList(
            [
                InverseAutoregression(Dilated(2, channels, blocks, layers, kernel, skip, self.vector.size))
                for _ in range(flows)
            ]
        )

    def initialise(self, x: Tensor) -> None:
        """Fits one mean and one scale for all steps to `x`; flows are the identity at the start."""
        self.standardise.fit(x.reshape(-1, 1))

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]; in full precision."""
        with torch.autocast(x.device.type, enabled=False):
            y = self.vector(context, self.standardise.mean)
            z = self.standardise(x.reshape(-1, 1)).reshape(len(x), -1)
            log_scale = z.new_zeros(len(x))
            for flow in reversed(self.flows):
                z, its = cast("InverseAutoregression", flow).inverse(z, y)
                log_scale = log_scale + its
            return self._log_prob(z, log_scale)

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], all steps at once."""
        return self.rsample_and_log_prob(num, context)[0]

    def rsample_and_log_prob(self, num: int, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Samples [num, *event.shape] and log p of each [num], differentiable; in full precision."""
        like = self.standardise.mean
        with torch.autocast(like.device.type, enabled=False):
            y = self.vector(context, like)
            z = noise = torch.randn(num, self.event.dims).to(like)
            log_scale = like.new_zeros(num)
            for flow in self.flows:
                z, its = flow(z, y)
                log_scale = log_scale + its
            x = self.standardise.inverse(z.reshape(-1, 1)).reshape(num, *self.event.shape)
            return x, self._log_prob(noise, log_scale)

    def _log_prob(self, noise: Tensor, log_scale: Tensor) -> Tensor:
        """log p of what flows of a total log-scale [batch] make of noise [batch, steps]."""
        log_jacobian = self.event.dims * self.standardise.log_jacobian()
        return standard_normal(noise).log_prob(noise).sum(1) - log_scale + log_jacobian
