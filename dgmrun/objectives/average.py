"""Moving average of the weights of a model."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = tuple[Tensor, ...] | list[Tensor]


def average(model: nn.Module, decay: float) -> AveragedModel:
    """Returns an exponential moving average of the parameters, which does not require gradients.

    After n updates, the next one has the decay min(decay, (1 + n) / (10 + n)): a short training does not keep its first
    weights, as the average is over the last tenth of the updates until it is over the last 1 / (1 - decay) of them.
    Source: `num_updates` of TensorFlow's ExponentialMovingAverage.
    """

    def update(averages: Tensors, parameters: Tensors, number: Tensor | int) -> None:
        n = int(number)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averages, parameters, number)

    return AveragedModel(model, multi_avg_fn=update).requires_grad_(False)
