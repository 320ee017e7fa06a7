r"""Score-function gradients in the logits a of binary units b, with a control variate c.

.. math:: g = (f(b) - c(\tilde\zeta))\, \nabla_a \log q(b) + \nabla_a c(\zeta) - \nabla_a c(\tilde\zeta)

with zeta a logistic variable, b = H(zeta), and zeta~ a second one drawn conditionally on b. The estimator is unbiased
for :math:`\nabla_a E[f(b)]` with any c.

References:
    Gu, Levine, Sutskever and Mnih (2016), MuProp, https://arxiv.org/abs/1511.05176, equation 6.
    Tucker, Mnih, Maddison, Lawson and Sohl-Dickstein (2017), REBAR, https://arxiv.org/abs/1703.07370, equation 4.
    Grathwohl, Choi, Wu, Roeder and Duvenaud (2018), Backpropagation through the void,
    https://arxiv.org/abs/1711.00123, equation 8.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from dgmrun.gradients.relaxation import Units, conditional, logistic

Control = Callable[[Tensor], Tensor]


def relaxed(f: Float[Tensor, "*samples"], c: Control, logits: Units, u: Units, v: Units) -> Units:
    """The gradient g above, differentiable in the parameters of c.

    Args:
        f: f(b), held constant, where b = H(logistic(logits, u)).
        c: maps logistic variables, here both of each sample at once, [2, *samples, units], to a value for each.
        logits: logits a.
        u: uniform variables from which b was drawn.
        v: independent uniform variables, for zeta~.
    """
    with torch.enable_grad():
        a = logits.detach().requires_grad_()
        zeta = logistic(a, u)
        b = (zeta > 0).to(a).detach()
        free, given = c(torch.stack((zeta, conditional(a, b, v))))
        (path,) = torch.autograd.grad((free - given).sum(), a, create_graph=True)
    return (f.detach() - given).unsqueeze(-1) * (b - torch.sigmoid(logits.detach())) + path


def muprop(f: Float[Tensor, "*samples"], c: Control, logits: Units, b: Units) -> Units:
    r"""The gradient whose control variate is the linearisation of c at the means m of the units.

    .. math:: g = (f(b) - c(m) - c'(m) (b - m))\, \nabla_a \log q(b) + c'(m) \nabla_a m

    The estimator is unbiased with any c.

    Args:
        f: f(b), held constant.
        c: maps values of the units to a value for each sample.
        logits: logits a.
        b: sampled units.
    """
    m = torch.sigmoid(logits.detach())
    with torch.enable_grad():
        at = m.clone().requires_grad_()
        value = c(at)
        (slope,) = torch.autograd.grad(value.sum(), at)
    linear = value.detach() + (slope * (b - m)).sum(-1)
    return (f.detach() - linear).unsqueeze(-1) * (b - m) + slope * m * (1 - m)
