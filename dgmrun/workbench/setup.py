"""What stages start from: the data, the model and the device of a configuration, each made when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dgmrun.data.binarise import binarised
from dgmrun.data.prepare import Prepared, prepare
from dgmrun.data.splits import Splits
from dgmrun.data.transform import KINDS, LEVELS, transformed
from dgmrun.errors import Mistake, RunFailed
from dgmrun.paths import data_dir
from dgmrun.protocols.values import Event
from dgmrun.run import weights as _weights
from dgmrun.run.directory import Run
from dgmrun.workbench import build


class Setup:
    """A resolved configuration and what it names.

    Args:
        config: the configuration.
        search_path: the user's own configuration folders.
    """

    def __init__(self, config: dict[str, Any], search_path: Sequence[Path] = ()) -> None:
        self.config, self.search_path = config, search_path
        event = build.event_of_files(config["dataset"])
        config["dataset"]["event"] = {"shape": list(event.shape), "support": event.support}

    @cached_property
    def data(self) -> Prepared:
        """The dataset, checked, binarised and transformed, on the CPU."""
        dataset = self.config["dataset"]
        loaded = build.maker("dataset", dataset)(data_dir(self.config.get("data_dir")))
        return prepare(
            loaded,
            event=build.event(dataset["event"]),
            context=build.event(dataset["context"], "dataset.context") if dataset["context"] else None,
            binarisation=dataset["binarisation"],
            transform=dataset["transform"],
            pixel_order=dataset["pixel_order"],
        )

    @property
    def splits(self) -> Splits:
        """What the model sees; where there is noise, the training split before it."""
        return self.data.splits

    def scored(self, split: str) -> Tensor:
        """x of a split as it is evaluated: with noise, one draw, the same for every run."""
        return self.data.scored(split)

    def log_jacobian(self, split: str) -> Tensor:
        """What each log-probability of `scored(split)` lacks to be in original units, in nats, float64 [N]."""
        return self.data.log_jacobian(split)

    def original(self, x: Tensor) -> Tensor:
        """What the model sees, or its samples, in original units, on the CPU: uint8 if all are whole numbers."""
        is_whole = self.event.support in ("binary", f"categorical({LEVELS})")
        return self.data.back(x.cpu()).to(torch.uint8 if is_whole else torch.float32)

    @property
    def levels(self) -> int | None:
        """How many grey levels there are where one is the original unit."""
        return LEVELS if KINDS[self.config["dataset"]["transform"]].of_levels else None

    def shown(self, x: Tensor) -> Tensor:
        """`x` in original units as a person wants it: upright, grey levels from 0 to 1."""
        return self.upright(x if self.levels is None else (x / (self.levels - 1)).clamp(0, 1))

    def upright(self, x: Tensor) -> Tensor:
        """Pictures as a person wants them, whatever their pixel order; anything else as it is."""
        return x.transpose(-1, -2) if self.config["dataset"]["pixel_order"] == "column" and x.dim() == 4 else x

    @cached_property
    def event(self) -> Event:
        """One example as the model sees it."""
        dataset = self.config["dataset"]
        binary = binarised(build.event(dataset["event"]), dataset["binarisation"])
        return transformed(binary, dataset["transform"], dataset["binarisation"])

    @cached_property
    def device(self) -> torch.device:
        """Where evaluation runs."""
        accelerator = self.config["device"]["accelerator"]
        available = torch.cuda.is_available()
        if accelerator in ("gpu", "cuda") and not available:
            raise Mistake("`device.accelerator` must be one that this machine has, but there is no GPU", "device=cpu")
        return torch.device("cuda" if available and accelerator != "cpu" else "cpu")

    @cached_property
    def base_logits(self) -> Tensor:
        """Log odds of the smoothed means of binary training data [*event.shape]: where annealing starts."""
        x = self.splits["train"].x
        return torch.logit((x.sum(0, dtype=torch.float32) + 0.5) / (len(x) + 1)).to(self.device)

    def new_model(self) -> nn.Module:
        """The model, untrained, on the CPU."""
        model = build.maker("model", self.config["model"])(event=self.event)
        assert isinstance(model, nn.Module)
        return model

    def trained_model(self, run: Run) -> nn.Module:
        """The model with the run's weights, the averaged ones where there are any, for evaluation."""
        return self.model_of(run).eval().requires_grad_(False)

    def model_of(self, run: Run) -> nn.Module:
        """The same, as it is trained."""
        if not run.weights_file.exists():
            raise RunFailed(f"{run.path} must have weights, but has none", f"dgmrun train run={run.path}")
        model = self.new_model()
        _weights.load(model, _weights.read(run.weights_file), run.weights_file)
        return model.to(self.device)
