"""Protocols of what some models of sequences can do beside others."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Windowed(Protocol):
    """A model of sequences in which a step depends on some steps before it, and on none before these."""

    def receptive_field(self) -> int:
        """Number of steps before one on which its conditional may depend."""
