r"""Generative adversarial networks: a generator against a critic that gives log-odds.

Given contexts, such as classes, both are told them.

References:
    Goodfellow et al. (2014), Generative adversarial networks, https://arxiv.org/abs/1406.2661.
    Mirza and Osindero (2014), Conditional generative adversarial nets, https://arxiv.org/abs/1411.1784.
"""

from __future__ import annotations

from typing import ClassVar

from dgmrun.objectives.adversarial.log_odds import LogOdds
from dgmrun.protocols.models import ImplicitModel


class GAN(LogOdds):
    """Minimises the Jensen-Shannon divergence of data and model, as a critic estimates it; settings as of `LogOdds`."""

    requires: ClassVar[type] = ImplicitModel
