r"""Normalising flows by zuko: x is the inverse of an invertible map f of Gaussian noise.

.. math:: \log p(x) = \log N(f(x); 0, I) + \log \left| \det \frac{\partial f}{\partial x} \right|

References:
    Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP, equations 3 to 8.
    Papamakarios, Pavlakou and Murray (2017), Masked autoregressive flow for density estimation, equations 4 to 6.
    Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling (2016), Improved variational inference with inverse
    autoregressive flow, equation 10.
    Durkan, Bekasov, Murray and Papamakarios (2019), Neural spline flows, equations 4 to 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from zuko.distributions import DiagNormal
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.lazy import Flow as Layers
from zuko.lazy import UnconditionalDistribution
from zuko.nn import MaskedLinear
from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform

from dgmrun.nn.context import ContextVector
from dgmrun.nn.settings import check_word
from dgmrun.nn.standardise import Standardise
from dgmrun.protocols.values import Event

COUPLING = ("realnvp", "nsf_coupling")
KINDS = (*COUPLING, "maf", "iaf", "nsf")
ORDERS = ("alternating", "random")


class Flow(nn.Module):
    """A flow of coupling or autoregressive layers, each affine or a spline; x is standardised before the first.

    All are inverted in closed form, an autoregressive one in D passes: `maf` and `nsf` are quick to evaluate and slow
    to sample, `iaf` is the reverse, and the coupling flows are quick in both.

    Args:
        event: event of one example; it must be real.
        kind: `realnvp`, affine coupling; `maf`, affine autoregression; `iaf`, its inverse; `nsf`, autoregression by
            rational-quadratic splines; `nsf_coupling`, coupling by them.
        layers: number of layers.
        hidden: sizes of the hidden layers of each layer's network.
        order: `alternating`: every other layer has the order reversed, or the other half of the dimensions changed;
            `random`: each layer has a random permutation.
        kept: number d of dimensions that a coupling layer leaves as they are, from which it computes how to change the
            others; null for half of them, and no more than that in alternating orders, so that all are changed.
        bins: bins of a spline, on [-5, 5] standard deviations; beyond it is the identity.
        context: event of the context, if any, whose vector extends the inputs of the networks.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> flow = Flow(Event((3,), "real"), layers=2)
        >>> flow.log_prob(flow.sample(5)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        event: Event,
        kind: str = "maf",
        layers: int = 5,
        hidden: Sequence[int] = (100, 100),
        order: str = "alternating",
        kept: int | None = None,
        bins: int = 8,
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("real",), "a flow")
        _check(event.dims, kind, layers, hidden, order, kept, bins)
        self.event, self.context, self.vector = event, context, ContextVector(context)
        self.standardise = Standardise(event.dims)
        spline = {"univariate": partial(MonotonicRQSTransform, bound=5.0), "shapes": [(bins,), (bins,), (bins - 1,)]}
        affine = {"univariate": MonotonicAffineTransform, "shapes": [(), ()]}
        of_all = {"context": self.vector.size, "hidden_features": hidden, **(spline if "nsf" in kind else affine)}
        transforms = []
        for places in orders(event.dims, layers, order):
            if kind in COUPLING:
                mask = places < (event.dims // 2 if kept is None else kept)
                transforms.append(GeneralCouplingTransform(event.dims, mask=mask, **of_all))
            else:
                layer = MaskedAutoregressiveTransform(event.dims, order=places, **of_all)
                if event.dims > 1:
                    _spread(layer, places)
                transforms.append(layer.inv if kind == "iaf" else layer)
        zero, one = torch.zeros(event.dims), torch.ones(event.dims)
        self.layers = Layers(transforms, UnconditionalDistribution(DiagNormal, zero, one, buffer=True))

    def initialise(self, x: Tensor) -> None:
        """Fits the standardisation to `x`."""
        self.standardise.fit(x)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]; in full precision, as errors of layers add up."""
        with torch.autocast(x.device.type, enabled=False):
            c = self.vector(context, self.standardise.mean)
            return self.layers(c).log_prob(self.standardise(x)) + self.standardise.log_jacobian()

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""
        return self.rsample_and_log_prob(num, context)[0]

    def rsample_and_log_prob(self, num: int, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Samples [num, *event.shape] and log p of each [num], differentiable; fast for `iaf` and coupling layers."""
        with torch.autocast(self.standardise.mean.device.type, enabled=False):
            c = self.vector(context, self.standardise.mean)
            z, log_p = self.layers(c).rsample_and_log_prob((num,) if c is None else ())
        x = self.standardise.inverse(z).reshape(num, *self.event.shape)
        return x, log_p + self.standardise.log_jacobian()


def orders(dims: int, layers: int, order: str) -> list[Tensor]:
    """Returns the place of each dimension in each layer, [D] each."""
    if order == "random":
        return [torch.randperm(dims) for _ in range(layers)]
    return [torch.arange(dims).flip(0) if layer % 2 else torch.arange(dims) for layer in range(layers)]


def _spread(layer: MaskedAutoregressiveTransform, places: Tensor) -> None:
    """Spreads hidden units evenly over the numbers of dimensions that they read.

    As zuko (1.6.0) numbers them, a layer of fewer than D - 1 units, or D with a context, reads the first dimensions of
    the order alone, and no conditional depends on the others; in wider ones nothing changes. A unit reads those below
    with lower numbers.
    """
    masked = [each for each in layer.hyper if isinstance(each, MaskedLinear)]
    inputs, outputs = masked[0].in_features, masked[-1].out_features
    least = int(inputs == len(places))
    span = len(places) - least
    below = torch.cat((places + 1, places.new_zeros(inputs - len(places))))
    for linear in masked:
        units = linear.out_features
        every = least + torch.arange(units) % span
        above = every if units >= span else torch.linspace(least, len(places) - 1, units).round()
        if linear is masked[-1]:
            above = places.repeat_interleave(outputs // len(places))
        linear.mask.copy_(below <= above[:, None])
        below = above


def _check(dims: int, kind: str, layers: int, hidden: Sequence[int], order: str, kept: int | None, bins: int) -> None:
    """Refuses settings that make no flow.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """
    check_word("kind", kind, KINDS)
    check_word("order", order, ORDERS)
    if layers < 1:
        raise ValueError(f"`model.layers` must be at least 1, but is {layers}")
    if not hidden or min(hidden) < 1:
        raise ValueError(f"`model.hidden` must be sizes of at least 1, but is {list(hidden)}")
    if kind not in COUPLING and min(hidden) < min(3, dims):
        raise ValueError(f"`model.hidden` must be sizes of at least {min(3, dims)} for {kind}, but is {list(hidden)}")
    if bins < 2:
        raise ValueError(f"`model.bins` must be at least 2, but is {bins}")
    if kind in COUPLING and dims < 2:
        raise ValueError(f"`model.kind` must be maf, iaf or nsf for data of one dimension, but is {kind}")
    if kept is not None and kind not in COUPLING:
        raise ValueError(f"`model.kept` must be null for {kind}, which has no coupling, but is {kept}")
    if kept is not None and not (type(kept) is int and 0 < kept < dims):
        raise ValueError(f"`model.kept` must be null or from 1 to {dims - 1}, but is {kept}")
    if kept is not None and order == "alternating" and 2 * kept > dims:
        raise ValueError(f"`model.kept` must be at most {dims // 2}, unless `model.order` is random, but is {kept}")
