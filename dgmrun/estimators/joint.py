r"""log Z of a model with an unnormalised top through a tractable density q of x: both as densities of x and z.

.. math:: f(x, z) = p(x, z_{<L} \mid z_L) f(z_L), \qquad q(x, z) = q(x)\, q(z \mid x), \qquad \int f = \int f(z_L) = Z

where q(z | x) is the model's own posterior. Weights vary with how far q(x) is from p(x), and q(z | x) from p(z | x).

References:
    Papamakarios and Murray (2015), Distilling intractable generative models, section 3, for models without z.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dgmrun.latent.draws import given, sampled
from dgmrun.protocols.models import AnnealingPath
from dgmrun.protocols.values import Event


class Joint(nn.Module):
    """A model with an unnormalised top as an unnormalised density of states (x, z_1, ..., z_L), [num, units].

    Args:
        model: the model, a `Topped` one with a posterior; x and z are bits.
        x: any example, from which the sizes of the layers are found.
    """

    def __init__(self, model: Any, x: Tensor) -> None:
        super().__init__()
        self.model = model
        self.top, values = model.top(x)
        _, layers = model.descend(values)
        self.sizes = [model.event.dims, *(layer.shape[-1] for layer in layers)]
        self.event = Event((sum(self.sizes),), "binary")

    def split(self, state: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x [num, *event.shape] and the layers [1, num, units] of states [num, units]."""
        x, *layers = state.split(self.sizes, -1)
        return x.reshape(-1, *self.model.event.shape), [layer.unsqueeze(0) for layer in layers]

    def joined(self, x: Tensor, layers: list[Tensor]) -> Tensor:
        """States [num, units] of x and layers; inverse of `split`."""
        return torch.cat([x.flatten(1), *(layer[0] for layer in layers)], -1)

    def descended(self, z: Tensor) -> Tensor:
        """States with z [num, units] at the top."""
        return self.joined(*self.model.descend(z))

    def log_unnormalised(self, x: Tensor) -> Tensor:
        """log f of states [num, units], in nats [num]."""
        seen, layers = self.split(x)
        total: Any = sum(self.model.trace(seen, given(layers)).log_p)
        return total[0]

    @torch.no_grad()
    def walk(self, x: Tensor, steps: int) -> Tensor:
        """Makes `steps` transitions of the top, and descends from it."""
        return self.descended(self.top.walk(x[:, -self.sizes[-1] :], steps))

    def annealed(self, x: Tensor) -> JointPath:
        """Path of the top, fitted to values `x` of it."""
        return JointPath(self, self.top.annealed(x))


class JointPath:
    """Annealing of the top of a model, with a descent from every state. A state is that of `Joint`."""

    def __init__(self, joint: Joint, path: AnnealingPath) -> None:
        self.joint, self.path = joint, path

    def log_normaliser(self) -> Tensor:
        """log Z at beta = 0."""
        return self.path.log_normaliser()

    def start(self, num: int) -> Tensor:
        """Samples at beta = 0, [num, units]."""
        return self.joint.descended(self.path.start(num))

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        """Makes a transition of the top; also returns the increment of the log-weight, [num]."""
        z, increment = self.path.move(state[:, -self.joint.sizes[-1] :], beta, next_beta)
        return self.joint.descended(z), increment


class Guided(nn.Module):
    """q(x) q(z | x) as a tractable density of the states of a `Joint`.

    Args:
        q: a tractable density of x.
        joint: the model whose posterior is q(z | x).
    """

    def __init__(self, q: Any, joint: Joint) -> None:
        super().__init__()
        self.q, self.joint = q, joint

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        """log q of states, in nats [num]."""
        seen, layers = self.joint.split(x)
        of_z: Any = sum(self.joint.model.trace(seen, given(layers)).log_q)
        return self.q.log_prob(seen) + of_z[0]

    @torch.no_grad()
    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent states [num, units]."""
        x = self.q.sample(num)
        return self.joint.joined(x, self.joint.model.trace(x, sampled(1)).z)
