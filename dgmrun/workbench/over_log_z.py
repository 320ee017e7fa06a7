"""Likelihoods that rest on the log Z of a run: of an unnormalised density, or of a model with one at its top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from dgmrun.estimators.density import less, log_density, log_likelihood
from dgmrun.protocols.methods import LikelihoodMethod, LogZMethod
from dgmrun.protocols.values import Batch, Estimate, Evidence
from dgmrun.run.directory import Run
from dgmrun.workbench.partition import stored
from dgmrun.workbench.setup import Setup


@dataclass(frozen=True)
class WithLogZ:
    """Likelihood that needs the run's log Z from a given method."""

    simulates: ClassVar[int] = 0
    is_per_example: ClassVar[bool] = True
    needs: ClassVar[str | None] = None
    run: Run
    setup: Setup
    name: str
    method: LogZMethod

    @property
    def is_exact(self) -> bool:
        """Whether log Z is."""
        return self.method.is_exact

    def adapted(self, model: Any, valid: Batch) -> Any:
        """Returns the model."""
        return model

    def log_z(self) -> Estimate:
        """Returns log Z, estimated if it is not yet stored for these weights and settings."""
        return stored(self.run, self.setup, self.name, self.method)


@dataclass(frozen=True)
class ThroughLogZ(WithLogZ):
    """Likelihood of an unnormalised density."""

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Tensor, Estimate]:
        """Returns log p of each example, and their mean."""
        log_f, log_z = log_density(model, evidence.batch), self.log_z()
        return log_f - log_z.value, log_likelihood(log_f, log_z, evidence.population)


@dataclass(frozen=True)
class OverLogZ(WithLogZ):
    """Likelihood by a method that sums over latent layers, minus log Z of the top layer."""

    of_x: LikelihoodMethod

    @property
    def is_exact(self) -> bool:
        """Whether both log Z and the sum over latent layers are."""
        return self.method.is_exact and self.of_x.is_exact

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Tensor, Estimate]:
        """Returns log p of each example, and their mean."""
        log_f, estimate = self.of_x(model, evidence)
        log_z = self.log_z()
        return log_f - log_z.value, less(estimate, log_z)
