"""Processes of another launcher, torchrun or Slurm's srun, as their environment tells.

Such a launcher starts the same command once for each device of each machine. The first process of a machine is what
`dgmrun` is there, and starts the processes that train; the others have nothing to do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from dgmrun.errors import Mistake


class Launched(NamedTuple):
    """The place of this process among those of a launcher.

    Args:
        launcher: name of the program.
        place: index among those of this machine.
        devices: how many there are on this machine; None if `device.devices` says it.
        node: index of this machine.
        num_nodes: number of machines.
    """

    launcher: str
    place: int
    devices: int | None
    node: int
    num_nodes: int


def launched() -> Launched | None:
    """Returns the place of this process, or None if no launcher has started it as one of several.

    Slurm counts tasks for everything that it starts; they are several only in a step of srun. Whoever has set NODE_RANK
    there numbers the machines himself.

    Raises:
        Mistake: machines of a step have different numbers of tasks.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return Launched("torchrun", *map(_number, ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")))
    if _number("SLURM_STEP_NUM_TASKS") < 2 or "NODE_RANK" in os.environ:
        return None
    each = re.fullmatch(r"(\d+)(\(x\d+\))?", tasks := os.environ.get("SLURM_STEP_TASKS_PER_NODE", ""))
    if each is None:
        raise Mistake(f"srun must start as many tasks on each machine, but starts {tasks}", "srun --ntasks-per-node=N")
    devices = int(each[1]) if int(each[1]) > 1 else None
    return Launched("srun", _number("SLURM_LOCALID"), devices, _number("SLURM_NODEID"), _number("SLURM_STEP_NUM_NODES"))


def completed(of: Launched, argv: Sequence[str]) -> list[str]:
    """Returns arguments with the devices and machines of the launcher, and numbers this machine.

    Raises:
        Mistake: the arguments say otherwise, or cannot be those of several processes, or of one that is started again.
    """
    if {"-m", "--multirun"} & {*argv}:
        raise Mistake(f"`-m` must be without {of.launcher}, as a sweep starts its own processes", "dgmrun -m ...")
    if _number("TORCHELASTIC_MAX_RESTARTS") and not any(word.startswith("run=") for word in argv):
        hint = "dgmrun ... stages=[] hydra.run.dir=DIR makes it; then torchrun ... -m dgmrun train run=DIR"
        raise Mistake("`run` must be given where torchrun starts again what has failed (--max-restarts)", hint)
    given = {"device.devices": of.devices, "device.num_nodes": of.num_nodes}
    told = {key: str(number) for key, number in given.items() if number is not None}
    for key, _, value in (word.partition("=") for word in argv):
        if value != told.get(key, value):
            must = f"`{key}` must be {told[key]}, as {of.launcher} has it, but is {value}"
            raise Mistake(must, f"{of.launcher} ... dgmrun ... without {key}")
    os.environ["NODE_RANK"] = str(of.node)
    return [*argv, *(f"{key}={number}" for key, number in told.items())]


def _number(key: str) -> int:
    """Returns the value of an environment variable, or 0 if it is no whole number."""
    value = os.environ.get(key, "")
    return int(value) if value.isdecimal() else 0
