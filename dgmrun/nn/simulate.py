"""Calls of a simulator, which may be the user's own code: what it gives is checked, and what it raises is located."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from dgmrun.protocols.contrast import SimulatorError

LIBRARIES = ("<frozen", *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")))
"""How the files of code that is not the user's begin."""
MOST_UNITS = 8
"""Largest number of units of a z that is printed."""
Found = TypeVar("Found")


def simulated(section: str, simulate: Callable[[Tensor], object], z: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    """Returns x = simulate(z), of the type of z.

    Args:
        section: that of the configuration which names the simulator, `model` or `dataset`.
        simulate: the simulator.
        z: [num, units].
        shape: the shape that each x must have; None for any of one dimension or more.

    Raises:
        SimulatorError: it fails, or does not give real and finite x [num, *shape]; the message names its key.
    """
    key, num = f"`{section}.simulate`", len(z)
    found = called(f"{key} must map z {[*z.shape]} ({section}.latent={z.shape[1]}) to x", simulate, z)
    if not isinstance(found, Tensor):
        raise SimulatorError(f"{key} must give x as a tensor of torch, but gives {type(found).__name__}")
    if found.is_complex():
        raise SimulatorError(f"{key} must give real numbers, but gives {str(found.dtype).removeprefix('torch.')}")
    if found.dim() < 2 or found.shape != (num, *(found.shape[1:] if shape is None else shape)):
        must = f"[{num}, ...] for {num} z" if shape is None else f"{[num, *shape]} for {num} z, as data are"
        raise SimulatorError(f"{key} must give x {must}, but gives {[*found.shape]}")
    x = found.to(z)
    is_finite = x.isfinite().flatten(1).all(1)
    if not is_finite.all():
        where = z[~is_finite][0].tolist()
        at = f", as at z = [{', '.join(f'{unit:.6g}' for unit in where)}]" if len(where) <= MOST_UNITS else ""
        raise SimulatorError(f"{key} gave numbers that are not finite{at}")
    return x


def called(must: str, function: Callable[[Tensor], Found], value: Tensor) -> Found:
    """Returns what a function gives of a copy of a value.

    Raises:
        SimulatorError: it fails; the message is `must`, and what it raised, with file and line.
    """
    try:
        return function(value.clone())
    except (Exception, SystemExit) as error:
        raise SimulatorError(f"{must}, but raises {_told(error)}") from error


def _told(error: BaseException) -> str:
    """Returns an error and the last line of the user's own code that led to it, in one line."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)] or frames
    where = f"{own[-1].filename}, line {own[-1].lineno}" if own else "its keys are all arguments but the first"
    line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}{line and f': {line}'} ({where})"
