"""What stages start from: the data, the model and the device of a configuration, each made when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dgmrun import build
from dgmrun.data.binarise import binarised
from dgmrun.data.prepare import drawn_once, prepare
from dgmrun.data.splits import Splits
from dgmrun.errors import Mistake, RunFailed
from dgmrun.paths import data_dir
from dgmrun.protocols import Event
from dgmrun.run import Run
from dgmrun.stages import _weights


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
    def splits(self) -> Splits:
        """The dataset, checked and binarised, on the CPU."""
        dataset = self.config["dataset"]
        loaded = build.maker("dataset", dataset)(data_dir(self.config.get("data_dir")))
        return prepare(
            loaded,
            event=build.event(dataset["event"]),
            context=build.event(dataset["context"], "dataset.context") if dataset["context"] else None,
            binarisation=dataset["binarisation"],
            pixel_order=dataset["pixel_order"],
        )

    def scored(self, split: str) -> Tensor:
        """x of a split as it is evaluated: under dynamic binarisation one draw, the same for every run."""
        is_grey = split == "train" and self.config["dataset"]["binarisation"] == "dynamic"
        return drawn_once(self.splits[split].x, split) if is_grey else self.splits[split].x

    def upright(self, x: Tensor) -> Tensor:
        """Pictures as a person wants them, whatever their pixel order; anything else as it is."""
        return x.transpose(-1, -2) if self.config["dataset"]["pixel_order"] == "column" and x.dim() == 4 else x

    @cached_property
    def event(self) -> Event:
        """One example as the model sees it."""
        dataset = self.config["dataset"]
        return binarised(build.event(dataset["event"]), dataset["binarisation"])

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
        """Log odds of the smoothed means of the training data [*event.shape]: where annealing starts."""
        x = self.splits["train"].x
        return torch.logit((x.sum(0, dtype=torch.float32) + 0.5) / (len(x) + 1)).to(self.device)

    def new_model(self) -> nn.Module:
        """The model, untrained, on the CPU."""
        model = build.maker("model", self.config["model"])(event=self.event)
        assert isinstance(model, nn.Module)
        return model

    def trained_model(self, run: Run) -> nn.Module:
        """The model with the run's weights, the averaged ones where there are any, for evaluation."""
        if not run.weights_file.exists():
            raise RunFailed(f"{run.path} must have weights, but has none", f"dgmrun train run={run.path}")
        model = self.new_model()
        _weights.load(model, _weights.read(run.weights_file), run.weights_file)
        return model.to(self.device).eval().requires_grad_(False)
