r"""One step of an inverse autoregressive flow along sequences.

.. math:: x_t = \mu(z_{<t}) + \sigma(z_{<t}) z_t

for all t at once, given z; its inverse is found one step after another.

References:
    Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling (2016), Improved variational inference with inverse
    autoregressive flow, https://arxiv.org/abs/1606.04934, equation 10.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from dgmrun.nn.dilated import Dilated
from dgmrun.protocols.progress import tracked


class InverseAutoregression(nn.Module):
    """One flow: z_t to mu(z_<t) + sigma(z_<t) z_t. It is the identity at the start.

    Args:
        network: network from earlier z to features, whose inputs are a number and whether there is one.
    """

    def __init__(self, network: Dilated) -> None:
        super().__init__()
        self.network, self.head = network, nn.Linear(network.features, 2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, z: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """The result [batch, steps] and the sum of log sigma [batch]."""
        before = pad(torch.stack((z, torch.ones_like(z)), -1)[:, :-1], (0, 0, 1, 0))
        mean, log_scale = self.head(self.network.everywhere(before, y)).unbind(-1)
        return mean + log_scale.exp() * z, log_scale.sum(1)

    def inverse(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """What `forward` maps to x [batch, steps], one step after another, and the same sum."""
        step, z, log_scales = self.network.cached(len(x), y), list[Tensor](), list[Tensor]()
        before = x.new_zeros(len(x), 2)
        for each in tracked(x.unbind(1)):
            mean, log_scale = self.head(step(before)).unbind(-1)
            z.append((each - mean) * (-log_scale).exp())
            log_scales.append(log_scale)
            before = torch.stack((z[-1], torch.ones_like(each)), -1)
        return torch.stack(z, 1), torch.stack(log_scales).sum(0)
