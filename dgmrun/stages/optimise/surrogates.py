r"""Surrogates of a property over latent space, and what of it each place promises.

.. math:: \mathrm{EI}(z) = E[\max(y_{\min} - y, 0)] = g\, \Phi(g / s) + s\, \phi(g / s), \qquad g = y_{\min} - \mu

where y, the property of a string that is drawn at z, is Gaussian with mean mu and standard deviation s, which has that
of different strings of one place in it; smaller values are better.

References:
    Jones, Schonlau and Welch (1998), Efficient global optimization of expensive black-box functions, equation 15.
    Rasmussen and Williams (2006), Gaussian processes for machine learning, algorithm 2.1, equation 4.17.
    MacKay (1992), Bayesian interpolation: the linear one.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]
LEAST = 1e-12
"""Least standard deviation, where a surrogate is sure."""


class Surrogate(ABC):
    """A regression of values y [N] on places z [N, units], with a standard deviation of what it predicts."""

    regressor: Any

    @abstractmethod
    def fit(self, z: Array, y: Array) -> None:
        """Fits it."""

    def improvement(self, z: Array, best: float) -> Array:
        """Returns by how much each place is expected to be below the best value, [places]."""
        mean, deviation = self.regressor.predict(z, return_std=True)
        gain, s = best - mean, np.maximum(deviation, LEAST)
        found: Array = gain * norm.cdf(gain / s) + s * norm.pdf(gain / s)
        return found


class GaussianProcess(Surrogate):
    """A Gaussian process with a Matern kernel (5/2), whose settings maximise the evidence of the first values.

    A fit costs the cube of their number.
    """

    def __init__(self) -> None:
        self.kernel: Any = None

    def fit(self, z: Array, y: Array) -> None:
        """Fits it."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        is_first = self.kernel is None
        kernel = ConstantKernel() * Matern(math.sqrt(z.shape[1]), nu=2.5) + WhiteKernel() if is_first else self.kernel
        optimizer = "fmin_l_bfgs_b" if is_first else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a setting that is at the end of its range
            self.regressor = GaussianProcessRegressor(kernel, optimizer=optimizer, normalize_y=True).fit(z, y)
        self.kernel = self.regressor.kernel_


class Linear(Surrogate):
    """Bayesian linear regression."""

    def fit(self, z: Array, y: Array) -> None:
        """Fits it."""
        from sklearn.linear_model import BayesianRidge

        self.regressor = BayesianRidge().fit(z, y)


SURROGATES: dict[str, Callable[[], Surrogate]] = {"gaussian_process": GaussianProcess, "linear": Linear}
