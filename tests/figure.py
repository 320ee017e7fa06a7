"""Figures as results.json holds them, for tests of those who read it."""

from __future__ import annotations

from typing import Any

from dgmrun.protocols.values import Estimate
from dgmrun.run.figures import Figure, Identity


def identity(weights_sha256: str) -> dict[str, Any]:
    """Of weights with this sha256."""
    return {"run": "outputs/run", "step": 200, "weights_sha256": weights_sha256}


def entry(quantity: str, value: float, weights: str, /, **parts: Any) -> dict[str, Any]:
    """A whole figure of these weights; some of its parts may be others."""
    estimate = Estimate(quantity, value, 0.25, (-30.0, None), "exact", "none")
    return Figure.made(estimate, of=Identity(**identity(weights)), seconds=1.0).to_json() | parts
