"""Weight decay is for weights, however many axes they have, and for nothing else."""

from __future__ import annotations

import pytest
from torch import nn

from dgmrun.models import FVSBN, MADE, RNADE, Ising, Mixture
from dgmrun.objectives.decay import decayed
from dgmrun.protocols.values import Event

BITS, REALS = Event((4,), "binary"), Event((4,), "real")


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (RNADE(REALS, hidden=3), {"weight", "output_weight"}),
        (FVSBN(BITS, shared=True), {"weight"}),
        (Mixture(BITS, components=2), set()),
        (MADE(BITS, hidden=[3]), {"network.layers.0.weight", "network.output.weight", "network.direct"}),
        (Ising(Event((1, 2, 2), "binary")), {"weight"}),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.LayerNorm([2, 2, 2])), {"0.weight"}),
    ],
)
def test_weights_decay_and_biases_scales_and_normalisations_do_not(model: nn.Module, names: set[str]) -> None:
    found = decayed(model)
    assert {name for name, parameter in model.named_parameters() if parameter in found} == names
