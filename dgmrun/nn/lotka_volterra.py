r"""The predators and prey of Lotka and Volterra, as a chemical Langevin equation.

.. math:: dX = (\theta_1 X - \theta_2 X Y)\, dt + \sqrt{\theta_1 X}\, dW_1 - \sqrt{\theta_2 X Y}\, dW_2, \qquad
          dY = (\theta_2 X Y - \theta_3 Y)\, dt + \sqrt{\theta_2 X Y}\, dW_2 - \sqrt{\theta_3 Y}\, dW_3

for the three reactions of Wilkinson: a prey is born, a predator eats one and has a child, a predator dies. It is
integrated by the Euler-Maruyama scheme, so that x is a differentiable function of z and of the noise where no species
dies out; numbers stay in [0, MOST]. The prior of the rates is log-normal, :math:`\theta_i = m_i e^{s z_i}`.

References:
    Gillespie (2000), The chemical Langevin equation, Journal of Chemical Physics 113, equation 23.
    Wilkinson (2006), Stochastic modelling for systems biology: the reactions, and the rates of the defaults.
    Papamakarios and Murray (2016), Fast epsilon-free inference of simulation models with Bayesian conditional density
    estimation, https://arxiv.org/abs/1605.06376, section 4: the summaries.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

OBSERVED = ("summaries", "series")
MOST = 1e5
"""Largest number of animals of a species: a scheme of finite steps could explode."""
TINY = 1e-3


class LotkaVolterra:
    """The simulator, of z with the prior N(0, I), three units.

    Args:
        rates: medians m of the rates of birth of prey, of predation, and of death of predators, per unit of time.
        deviation: s, the standard deviation of the logarithm of each rate.
        start: numbers of prey and predators at time 0.
        time: length of the series.
        steps: number of steps of the integration; its bias is of the order of time / steps.
        observed: `series`, log(1 + number) of both species at `points` times, [2, points]; or `summaries`, [9]: means
            and standard deviations as logarithms, autocorrelations at one and two times, and the correlation of both.
        points: number of equally spaced times that are observed, a divisor of `steps`.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    def __init__(
        self,
        rates: Sequence[float] = (0.5, 0.0025, 0.3),
        deviation: float = 0.5,
        start: Sequence[float] = (71, 79),
        time: float = 30.0,
        steps: int = 150,
        observed: str = "summaries",
        points: int = 30,
    ) -> None:
        for key, values, number in (("rates", rates, 3), ("start", start, 2)):
            if len(values) != number or min(values) <= 0:
                raise ValueError(f"`simulate.{key}` must be {number} positive numbers, but is {list(values)}")
        for key, value in (("deviation", deviation), ("time", time)):
            if value <= 0:
                raise ValueError(f"`simulate.{key}` must be positive, but is {value}")
        if observed not in OBSERVED:
            raise ValueError(f"`simulate.observed` must be one of {', '.join(OBSERVED)}, but is {observed}")
        if points < 4 or steps < points or steps % points:
            raise ValueError(f"`simulate.points` must be at least 4 and divide {steps} steps, but is {points}")
        self.rates, self.deviation, self.start = list(rates), deviation, list(start)
        self.time, self.steps, self.is_series, self.points = time, steps, observed == "series", points
        self.curves = ("prey", "predators") if self.is_series else ()

    def __call__(self, z: Tensor) -> Tensor:
        """What is observed, [num, 2, points] or [num, 9], given z [num, 3]."""
        series = self.series(z)
        return torch.log1p(series) if self.is_series else summaries(series)

    def series(self, z: Tensor) -> Tensor:
        """Numbers of both species at the observed times, [num, 2, points], given z [num, 3]."""
        birth, predation, death = (z.new_tensor(self.rates) * (self.deviation * z).exp()).unbind(-1)
        prey, predators = (z.new_full((len(z),), value) for value in self.start)
        interval, found = self.time / self.steps, []
        noise = torch.randn(self.steps, 3, len(z), dtype=z.dtype, device=z.device)
        for step in range(self.steps):
            means = torch.stack((birth * prey, predation * prey * predators, death * predators)) * interval
            born, eaten, dead = means + ((means + TINY**2).sqrt() - TINY) * noise[step]  # 0 is absorbing
            prey = (prey + born - eaten).clamp(0, MOST)
            predators = (predators + eaten - dead).clamp(0, MOST)
            if (step + 1) % (self.steps // self.points) == 0:
                found.append(torch.stack((prey, predators), -1))
        return torch.stack(found, -1)


def summaries(series: Tensor) -> Tensor:
    """Nine statistics [num, 9] of two series [num, 2, points]."""
    mean = series.mean(-1, keepdim=True)
    deviation = series.std(-1, keepdim=True) + TINY
    u = (series - mean) / deviation
    lags = [(u[..., lag:] * u[..., :-lag]).mean(-1) for lag in (1, 2)]
    both = (u[:, 0] * u[:, 1]).mean(-1, keepdim=True)
    return torch.cat((mean.squeeze(-1).log1p(), deviation.squeeze(-1).log1p(), *lags, both), -1)
