r"""Row LSTM: an autoregressive model of pictures whose features are states of convolutional LSTMs, row after row.

.. math:: p(x) = \prod_i p(x_i \mid x_{<i})

in raster order. Each layer reads a picture from its top row to the bottom, and sees a triangle of the pixels above a
pixel, and so not all that come before.

References:
    van den Oord, Kalchbrenner and Kavukcuoglu (2016), Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759,
    sections 3.1 and 3.3, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dgmrun.nn.pixel_layers import First
from dgmrun.nn.pixel_lstm import RowStates
from dgmrun.nn.raster import Raster, check_kernel
from dgmrun.nn.settings import check_size
from dgmrun.protocols.values import Event


class RowLSTM(Raster):
    """A Row LSTM: log p(x) costs one pass through its layers, a step for each row; see `Raster` for sampling.

    Args:
        event: event of one example: pictures of bits, levels or classes.
        layers: number of LSTM layers after the first.
        channels: number of features of a pixel; LSTMs have half as many states.
        first: odd size of the convolution of the first layer.
        head: number of channels of the hidden layer from features to conditionals.
        levels: conditionals of levels: `softmax`, or `logistic`, a mixture of discretised logistics.
        components: number of components of such a mixture.
        colour_order: order of the channels of a picture: null for that of the data, or a permutation as a list.
        context: event of the context, if any; of its vector y, each layer adds V y.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> row_lstm = RowLSTM(Event((1, 4, 4), "binary"), layers=2, channels=4)
        >>> row_lstm.log_prob(row_lstm.sample(5)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        event: Event,
        layers: int = 3,
        channels: int = 32,
        first: int = 7,
        head: int = 32,
        levels: str = "softmax",
        components: int = 10,
        colour_order: Sequence[int] | None = None,
        context: Event | None = None,
    ) -> None:
        super().__init__(event, channels, head, levels, components, colour_order, context)
        check_size("layers", layers, 0)
        check_kernel("first", first)
        told = self.vector.size
        begin = First(self.below, self.colour, first, told=told)
        self.layers = nn.ModuleList([begin, *(RowStates(self.colour, told) for _ in range(layers))])
