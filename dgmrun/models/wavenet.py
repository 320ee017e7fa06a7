r"""WaveNet: dilated causal convolutions with gated units as a density of sequences, such as sounds.

.. math:: p(x) = \prod_t p(x_t \mid x_{t-R}, \dots, x_{t-1})

where the receptive field R grows exponentially with the layers of a block.

References:
    van den Oord, Dieleman, Zen, Simonyan, Vinyals, Graves, Kalchbrenner, Senior and Kavukcuoglu (2016), WaveNet: a
    generative model for raw audio, https://arxiv.org/abs/1609.03499, section 2.
    Ping, Peng and Chen (2019), ClariNet: parallel wave generation in end-to-end text-to-speech,
    https://arxiv.org/abs/1807.07281, section 3.1: Gaussian conditionals of real numbers.
"""

from __future__ import annotations

from dgmrun.nn.dilated import Dilated
from dgmrun.nn.sequence import AutoregressiveSequence
from dgmrun.protocols.values import Event


class WaveNet(AutoregressiveSequence):
    """A convolutional density: log p(x) of all steps at once; a sample costs as many steps as it has, one by one.

    Args:
        event: event of one example, [length]; or [length, D], of real vectors.
        layers: number of layers of a block, of dilations 1, 2, 4, ..., 2^(layers - 1).
        blocks: number of blocks.
        kernel: number of steps that a convolution reads.
        channels: number of features of a step in the layers.
        skip: number of features of a step that skip connections add up.
        embedding: size of the vector of a token, a level or a class.
        context: event of the context, if any; of its vector y, each layer adds V y.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> wavenet = WaveNet(Event((6,), "levels", 4), layers=2, channels=5)
        >>> wavenet.log_prob(wavenet.sample(3)).shape, wavenet.receptive_field()
        (torch.Size([3]), 4)
    """

    def __init__(
        self,
        event: Event,
        layers: int = 8,
        blocks: int = 1,
        kernel: int = 2,
        channels: int = 32,
        skip: int = 64,
        embedding: int = 32,
        context: Event | None = None,
    ) -> None:
        super().__init__(event, embedding, context)
        network = Dilated(self.inputs, channels, blocks, layers, kernel, skip, self.vector.size)
        self.network, self.reach = network, network.reach
        self.head = self.outputs()

    def receptive_field(self) -> int:
        """Number of steps before one on which its conditional may depend."""
        return self.reach
