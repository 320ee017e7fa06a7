"""`log_z`: the log partition function by all applicable methods, with a warning where they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.stages import FIGURES

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = ("proposal.npz", *FIGURES)
LEAST: dict[str, int] = {}


def check(setup: Setup) -> None:
    """Refuses normalised models without a teacher, methods that do not apply, and a teacher whose data are missing."""
    from dgmrun.workbench.selection import is_student, log_z_methods, teacher_of

    log_z_methods(setup)
    if is_student(setup):
        teacher_of(setup).setup.load()


def main(run: Run, setup: Setup) -> None:
    """Estimates log Z by the selected methods and records the figures."""
    from dgmrun.workbench import partition
    from dgmrun.workbench.selection import log_z_methods

    partition.measure(run, setup, log_z_methods(setup))
