"""What is imported as torchmetrics while Lightning is, where a process is for one command of dgmrun alone.

Lightning imports torchmetrics, to recognise its metrics among what a module logs, and torchmetrics imports torchvision,
scipy.signal and pyplot, half of the time. Objectives log through callbacks of ours, so that Lightning meets no
metric. In a notebook it may meet those of the user's own modules, and imports the true ones.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

is_wanted = False
"""Whether this process is for one command alone, which the command line sets before anything imports Lightning."""


def import_lightning() -> None:
    """Imports Lightning with two empty classes as all of torchmetrics, if that is wanted and was not imported before.

    A release of Lightning that asks for more is left to be imported as it is.
    """
    name = "torchmetrics"
    if not is_wanted or name in sys.modules:
        return
    from importlib.metadata import version

    sys.modules[name] = stand_in = ModuleType(name)
    try:
        stand_in.__dict__.update(__version__=version(name), Metric=type("", (), {}), MetricCollection=type("", (), {}))
        import_module("lightning")
    except Exception:
        for half in [module for module in sys.modules if module.partition(".")[0] == "lightning"]:
            del sys.modules[half]
    finally:
        del sys.modules[name]
