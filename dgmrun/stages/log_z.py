"""`log_z`: the log partition function by every method that can be had, and where they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = ("proposal.npz", "figures/*.png")


def check(setup: Setup) -> None:
    """Refuses models that have a normalised density and no teacher, methods that do not fit, and data that are gone."""
    from dgmrun.workbench.selection import is_student, log_z_methods, teacher_of

    log_z_methods(setup)
    if is_student(setup):
        teacher_of(setup).setup.load()


def main(run: Run, setup: Setup) -> None:
    """Estimates log Z by every selected method and records it."""
    from dgmrun.workbench import partition
    from dgmrun.workbench.selection import log_z_methods

    partition.measure(run, setup, log_z_methods(setup))
