r"""PixelCNN: a convolutional autoregressive model of pictures, plain or with gated stacks.

.. math:: p(x) = \prod_i p(x_i \mid x_{<i})

in raster order. Plain layers are residual blocks of masked convolutions, which do not see some pixels before, to the
right above (the blind spot); gated ones have a stack for the rows above and one for the row, and see all in reach.

References:
    van den Oord, Kalchbrenner and Kavukcuoglu (2016), Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759,
    sections 3.3 and 3.4, table 1.
    van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves and Kavukcuoglu (2016), Conditional image generation with
    PixelCNN decoders, https://arxiv.org/abs/1606.05328, equations 2 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dgmrun.nn.pixel_layers import First, Gated, Residual
from dgmrun.nn.raster import Raster, check_kernel
from dgmrun.nn.settings import check_size
from dgmrun.protocols.values import Event


class PixelCNN(Raster):
    """A PixelCNN: log p(x) costs one pass through its layers, for all pixels at once; see `Raster` for sampling.

    Args:
        event: event of one example: pictures of bits, levels or classes.
        layers: number of layers after the first.
        channels: number of features of a pixel; residual blocks have half as many within.
        kernel: odd size of the convolutions of these layers.
        first: odd size of the convolution of the first layer.
        gated: whether layers have gated vertical and horizontal stacks.
        head: number of channels of the hidden layer from features to conditionals.
        levels: conditionals of levels: `softmax`, or `logistic`, a mixture of discretised logistics.
        components: number of components of such a mixture.
        colour_order: order of the channels of a picture: null for that of the data, or a permutation as a list.
        context: event of the context, if any; of its vector y, each layer adds V y.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> pixelcnn = PixelCNN(Event((1, 4, 4), "binary"), layers=2, channels=4)
        >>> pixelcnn.log_prob(pixelcnn.sample(5)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        event: Event,
        layers: int = 7,
        channels: int = 32,
        kernel: int = 3,
        first: int = 7,
        gated: bool = True,
        head: int = 32,
        levels: str = "softmax",
        components: int = 10,
        colour_order: Sequence[int] | None = None,
        context: Event | None = None,
    ) -> None:
        super().__init__(event, channels, head, levels, components, colour_order, context)
        check_kernel("kernel", kernel)
        check_kernel("first", first)
        check_size("layers", layers, 0)
        if type(gated) is not bool:
            raise ValueError(f"`model.gated` must be true or false, but is {gated}")
        layer, told = Gated if gated else Residual, self.vector.size
        begin = First(self.below, self.colour, first, rows=channels if gated and layers else 0, told=told)
        self.layers = nn.ModuleList([begin, *(layer(self.colour, kernel, told) for _ in range(layers))])
