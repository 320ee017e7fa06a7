"""What dgmrun uses of Lightning, imported in two thirds of the time.

Lightning imports torchmetrics, to recognise its metrics among what a module logs, and torchmetrics imports
torchvision, scipy.signal and pyplot. Objectives log through callbacks of ours, so that Lightning meets no metric:
while it is imported, two empty classes are all of torchmetrics. Whoever imports torchmetrics later gets the true one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from types import ModuleType


@contextmanager
def _without_torchmetrics() -> Iterator[None]:
    """Lets a stand-in be imported as torchmetrics, unless that has been imported."""
    name = "torchmetrics"
    stand_in = ModuleType(name)
    stand_in.__dict__.update(
        __version__=version(name), Metric=type("Metric", (), {}), MetricCollection=type("", (), {})
    )
    is_stand_in = sys.modules.setdefault(name, stand_in) is stand_in
    try:
        yield
    finally:
        if is_stand_in:
            del sys.modules[name]


with _without_torchmetrics():
    from lightning import Callback, LightningModule, Trainer
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.pytorch.loggers import Logger

__all__ = ["Callback", "LightningEnvironment", "LightningModule", "Logger", "Trainer"]
