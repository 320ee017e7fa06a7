"""An epidemic as a simulator of one's own: one function, of which neither density nor gradient is known."""

from __future__ import annotations

import torch
from torch import Tensor


def simulate(z: Tensor, people: int, days: int) -> Tensor:
    """Shares of new cases day by day [num, days], given z [num, 2]: log-normal rates of infection and of recovery."""
    infection, recovery = 0.4 * (0.3 * z[:, 0]).exp(), 0.15 * (0.3 * z[:, 1]).exp()
    healthy, ill = torch.full_like(infection, people - 10), torch.full_like(infection, 10)
    cases = []
    for _ in range(days):
        new = torch.binomial(healthy, 1 - (-infection * ill / people).exp())
        over = torch.binomial(ill, 1 - (-recovery).exp())
        healthy, ill = healthy - new, ill + new - over
        cases.append(new / people)
    return torch.stack(cases, 1)
