"""What dgmrun uses of Lightning: imported here alone, in half the time where `stand_in` permits it."""

from __future__ import annotations

from dgmrun.objectives import stand_in

stand_in.import_lightning()

from lightning import Callback, LightningModule, Trainer  # noqa: E402
from lightning.fabric.plugins.environments.lightning import LightningEnvironment  # noqa: E402
from lightning.pytorch.loggers import Logger  # noqa: E402

__all__ = ["Callback", "LightningEnvironment", "LightningModule", "Logger", "Trainer"]
