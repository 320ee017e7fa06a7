r"""Classifier: p(y | x) of one class y given anything, and features of x by which samples are compared with data.

.. math:: p(y \mid x) = \mathrm{softmax}(W h(x) + b)_y

with features h, the last hidden layer of a network of x. A classifier of the data at hand, in place of one of
photographs, tells what is told apart there.

References:
    Binkowski, Sutherland, Arbel and Gretton (2018), Demystifying MMD GANs, https://arxiv.org/abs/1801.01401,
    section 4: features of a classifier of digits for samples of digits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmrun.nn import convolution, mlp
from dgmrun.nn.context import ContextVector
from dgmrun.nn.settings import check_size, check_word
from dgmrun.protocols.values import Event

NETWORKS = {"mlp": mlp.encoder, "convolutional": convolution.encoder}


class Classifier(nn.Module):
    """A network with a layer of features below its softmax.

    Args:
        event: event of the label: one class, or one bit.
        context: event of x: classes are one-hot encoded, captions read by a recurrent network, see `ContextVector`.
        network: `mlp`, or `convolutional` for pictures.
        hidden: units of each hidden layer of an MLP, or channels after the first convolution.
        depth: number of hidden layers below the features; of convolutions, each of which halves both sides.
        features: number of features.
        activation: activation of hidden layers and features: tanh, relu, leaky_relu, elu or softplus.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> classifier = Classifier(Event((), "categorical", 3), Event((4,), "real"), features=8)
        >>> classifier.features(torch.zeros(5, 4)).shape, classifier.sample(2, torch.zeros(2, 4)).shape
        (torch.Size([5, 8]), torch.Size([2]))
    """

    def __init__(
        self,
        event: Event,
        context: Event,
        network: str = "mlp",
        hidden: int = 128,
        depth: int = 1,
        features: int = 64,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if not event.is_class:
            must = "`given` must be x, and `dataset.labels` one class, or one bit, for a classifier"
            raise ValueError(f"{must}, but what it is to predict is {event}")
        check_word("network", network, NETWORKS)
        check_word("activation", activation, mlp.ACTIVATIONS)
        for key, size, least in (("hidden", hidden, 1), ("depth", depth, 0), ("features", features, 1)):
            check_size(key, size, least)
        self.event, self.context, self.vector = event, context, ContextVector(context)
        is_mlp = network == "mlp" or self.vector.size != context.dims
        self.shape = (self.vector.size,) if is_mlp else context.shape  # of classes no picture is made
        to_features = NETWORKS[network](self.shape, hidden, depth, features, activation)
        self.net = nn.Sequential(to_features, mlp.ACTIVATIONS[activation]())
        self.output = mlp.linear(features, event.size or 2)

    def features(self, x: Tensor) -> Tensor:
        """h(x) of x [batch, *context.shape], [batch, features]."""
        c = self.vector(x, self.output.weight)
        assert c is not None
        h: Tensor = self.net(c.reshape(-1, *self.shape))
        return h

    def _log_p(self, context: Tensor | None) -> Tensor:
        """log p(y | x) of every class, [batch, classes]."""
        assert context is not None
        return self.output(self.features(context)).log_softmax(-1)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(y | x) of labels y [batch, *event.shape], here called x, given x, here the context, [batch]."""
        return self._log_p(context).gather(1, x.reshape(-1, 1).long())[:, 0]

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Labels drawn from p(y | x), [num, *event.shape]."""
        return torch.multinomial(self._log_p(context).exp(), 1).reshape(num, *self.event.shape).to(self.event.dtype)
