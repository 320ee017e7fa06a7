"""Which parameters weight decay is for."""

from __future__ import annotations

from torch import Tensor, nn

NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


def decayed(model: nn.Module) -> set[Tensor]:
    """Returns the parameters of a model that weight decay is for: all weights, and no biases, nor scales and offsets
    of normalisations.

    A weight is named so, or has two axes or more and is not named a bias: of a weight-normalised convolution, both the
    directions and their scales are weights.
    """
    return {
        parameter
        for module in model.modules()
        if not isinstance(module, NORMALISATIONS)
        for name, parameter in module.named_parameters(recurse=False)
        if name.endswith("weight") or (parameter.dim() > 1 and not name.endswith("bias"))
    }
