"""`python -c SOURCE WORK EXAMPLES` prints how many examples a second a NADE 784-500 has of `gradient` or `sample`."""

import sys
from time import perf_counter

import torch

from dgmrun.models.nade import NADE
from dgmrun.protocols import Event

work, examples = sys.argv[1], int(sys.argv[2])
nade = NADE(Event((784,), "binary"), 500)
x = torch.rand(examples, 784).round()


def gradient() -> None:
    """Forward and backward."""
    nade.zero_grad()
    nade.log_prob(x).mean().backward()


def sample() -> None:
    """All at once."""
    nade.sample(examples)


function = {"gradient": gradient, "sample": sample}[work]
function()
start = perf_counter()
function()
print(examples / (perf_counter() - start))
