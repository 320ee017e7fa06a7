"""Data, model and device of a configuration, each created when first needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions.transforms import ComposeTransform

from dgmrun.data.arrangement import Arrangement
from dgmrun.data.binarise import binarised
from dgmrun.data.doubts import alike, doubts
from dgmrun.data.prepare import Prepared, prepare
from dgmrun.data.transform import LEVELS, TRANSFORMS, transformed
from dgmrun.errors import Mistake, RunFailed
from dgmrun.paths import data_dir
from dgmrun.protocols.contrast import Simulating
from dgmrun.protocols.models import MarkovChain, fits, roles, takes_context
from dgmrun.protocols.samplers import Stepwise
from dgmrun.protocols.values import Batch, Event
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run import weights as parameters
from dgmrun.run.directory import Run
from dgmrun.run.files import frozen
from dgmrun.workbench import build


class Setup:
    """An immutable configuration, and the objects that it specifies.

    Args:
        config: a resolved configuration, with a complete dataset.
        search_path: the user's own directories of configuration files.
        run: the run directory, if there is one already.
    """

    def __init__(self, config: Mapping[str, Any], search_path: Sequence[Path] = (), run: Path | None = None) -> None:
        self.config, self.search_path, self.run = frozen(config), tuple(search_path), run

    def of_run(self, run: Path) -> Setup:
        """Returns a copy for a run created from this configuration; data are not read again."""
        its = copy(self)
        its.run = run
        return its

    def with_settings(self, config: Mapping[str, Any]) -> Setup:
        """Returns a copy with other settings of stages; data are not read again."""
        its = copy(self)
        its.config = frozen(config)
        return its

    def check(self) -> None:
        """Refuses a device that is not available, and a dataset, model and context that do not fit together.

        Raises:
            Mistake: the configuration is invalid; the message names the key.
        """
        _ = self.device, self.arrangement
        self.new_model()

    def load(self) -> None:
        """Reads the data.

        Raises:
            Mistake: they are missing, or do not match the configuration.
        """
        _ = self.data

    @cached_property
    def data(self) -> Prepared:
        """The dataset, validated, binarised and transformed, on the CPU.

        Raises:
            Mistake: it is missing, or does not match its configuration.
        """
        dataset = self.config["dataset"]
        with bar("data"):
            loaded = build.maker("dataset", dataset)(data_dir(self.config.get("data_dir")))
            try:
                return prepare(
                    loaded,
                    event=build.event(dataset["event"]),
                    labels=self._labels,
                    binarisation=dataset["binarisation"],
                    transform=dataset["transform"],
                    pixel_order=dataset["pixel_order"],
                )
            except Mistake as mistake:
                if self.run is None or "path" not in dataset:
                    raise
                cure = "dataset.path=FILE, with data of the shapes and values of those that the run was trained on"
                raise Mistake(str(mistake), cure) from None

    @property
    def doubts(self) -> list[str]:
        """Doubts about the data, in words."""
        has_density = roles(build.target(self.config["model"])).density is not None
        is_density = has_density and self.is_of_x and self.event.is_continuous and self.data.noise is None
        dataset, data = self.config["dataset"], self.data
        event = build.event(dataset["event"])
        seen = alike(data.splits["train"], self.is_of_x, dataset["binarisation"])
        return build.doubts(dataset) + seen + doubts(data.loaded, event, data.back, is_density, data.noise is not None)

    @property
    def _labels(self) -> Event | None:
        node = self.config["dataset"]["labels"]
        return None if node is None else build.event(node, "dataset.labels")

    @cached_property
    def arrangement(self) -> Arrangement:
        """What is modelled, and what it is conditioned on."""
        dataset = self.config["dataset"]
        binary = binarised(build.event(dataset["event"]), dataset["binarisation"])
        seen = transformed(binary, dataset["transform"], dataset["binarisation"])
        return Arrangement(seen, self._labels, self.config["given"])

    @property
    def event(self) -> Event:
        """The event that the model sees: shape and kind of an example."""
        return self.arrangement.event

    @property
    def context(self) -> Event | None:
        """The event of the context, or None."""
        return self.arrangement.context

    @property
    def is_of_x(self) -> bool:
        """Whether x is modelled, rather than its labels."""
        return self.config["given"] != "x"

    def scored(self, split: str) -> Batch:
        """Returns a split for evaluation, in its stored dtype, on the CPU; any noise is the same for all runs."""
        x, y = self.data.scored(split), self.data.splits[split].y
        return self.arrangement.rows(x, y, torch.arange(len(x)))

    def places(self, split: str, most: int | None) -> Tensor:
        """Returns the places of all examples of a split, or of `most` at random, the same for every run, in order."""
        with seeded(0, "examples", split):
            return torch.randperm(len(self.data.splits[split].x))[:most].sort().values

    def population(self, split: str) -> int | None:
        """Returns the size of the population that a split is, or None if it is a sample, of examples or of noise."""
        of_split = self.data.splits[split]
        return len(of_split.x) if of_split.population and self.data.noise is None else None

    def seen(self, batch: Batch, device: torch.device | None = None) -> Batch:
        """Returns a batch in the dtypes of the model, on its device."""
        device = self.device if device is None else device
        x, context = batch.x.to(device, self.event.dtype), batch.context
        if context is not None and self.context is not None:
            context = context.to(device, self.context.dtype)
        return Batch(x, batch.index, context)

    @property
    def training_x(self) -> Tensor:
        """Training data to which base distributions are fitted and at which chains start, as stored, on the CPU.

        If bits are sampled anew for every batch, these are their probabilities; otherwise, they are as the model sees
        them.
        """
        is_binary = self.is_of_x and self.event.kind == "binary"
        return self.data.splits["train"].x if is_binary else self.scored("train").x

    @property
    def class_counts(self) -> Tensor | None:
        """Number of training examples of each class that is given, [classes]; None unless one class is."""
        event, told = self.context, self.scored("train").context
        if event is None or not event.is_class or told is None:
            return None
        return torch.bincount(told.flatten().long(), minlength=event.size or 2)

    def log_jacobian(self, split: str) -> Tensor:
        """Returns the log-Jacobian that converts each log-probability of `scored(split)` to original units, in nats.

        The dtype is float64, the shape [N].
        """
        found = self.data.log_jacobian(split)
        return found if self.is_of_x else torch.zeros_like(found)

    @property
    def original_event(self) -> Event:
        """The event of x in original units: bits, grey levels or the numbers of the file."""
        return self.data.preparation.event(build.event(self.config["dataset"]["event"]))

    @property
    def back(self) -> ComposeTransform:
        """The transform from what is modelled to original units."""
        return self.data.back if self.is_of_x else ComposeTransform([])

    def original(self, x: Tensor) -> Tensor:
        """Converts what is modelled, or samples of it, to original units, on the CPU.

        Real numbers that were standardised are float64, as float32 may not resolve their original units.
        """
        if self.event.kind in ("binary", "levels"):
            return self.back(x.cpu()).to(torch.uint8)
        if not self.event.is_continuous:
            return self.back(x.cpu()).to(torch.int64)
        is_of_data = bool(self.back.parts) and self.levels is None
        return self.back(x.cpu().double()).to(torch.float64 if is_of_data else torch.float32)

    @property
    def levels(self) -> int | None:
        """The number of grey levels if they are the original units, else None."""
        of_levels = TRANSFORMS[self.config["dataset"]["transform"]].of_levels
        return LEVELS if of_levels and self.is_of_x else None

    def shown(self, x: Tensor) -> Tensor:
        """Converts `x` from original units to what is displayed: upright, grey levels from 0 to 1."""
        return self.upright(x if self.levels is None else (x / (self.levels - 1)).clamp(0, 1))

    def upright(self, x: Tensor) -> Tensor:
        """Returns images upright, whatever their pixel order, and anything else unchanged."""
        return x.transpose(-1, -2) if self.config["dataset"]["pixel_order"] == "column" and x.dim() > 2 else x

    @property
    def formats(self) -> list[str]:
        """The formats of pictures."""
        formats: list[str] = self.config["report"]["format"]
        return formats

    @cached_property
    def device(self) -> torch.device:
        """The device for evaluation.

        Raises:
            Mistake: this machine does not have it.
        """
        accelerator = self.config["device"]["accelerator"]
        available = torch.cuda.is_available()
        if accelerator in ("gpu", "cuda") and not available:
            raise Mistake("`device.accelerator` must be one that this machine has, but there is no GPU", "device=cpu")
        return torch.device("cuda" if available and accelerator != "cpu" else "cpu")

    def new_model(self) -> nn.Module:
        """Returns the untrained model, on the CPU.

        Raises:
            Mistake: a context is given but not supported, or required but not given.
        """
        node, given = self.config["model"], self.config["given"]
        kind, name = build.target(node), self.config["choices"]["model"]
        can, must = takes_context(kind)
        if given is not None and (not can or roles(kind).sampler is MarkovChain or roles(kind).needs_log_z):
            raise Mistake(f"`given` must be null for the model {name}, which cannot be conditioned, but is {given}")
        if given is None and must:
            raise Mistake(f"`given` must be labels or x for the model {name}, which has to be conditioned, but is null")
        if fits(kind, Simulating) and self.config["dataset"]["transform"] != "none":
            its = f"for the model {name}, which simulates x in their own units, but is"
            transform = self.config["dataset"]["transform"]
            raise Mistake(f"`dataset.transform` must be none {its} {transform}", "dataset.transform=none")
        context = {"context": self.context} if can else {}
        model = build.maker("model", node)(event=self.event, **context)
        assert isinstance(model, nn.Module)
        return model

    def trained_model(self, run: Run) -> nn.Module:
        """Returns the model with the run's weights (their moving averages if there are any), for evaluation."""
        model = self.model_of(run).eval().requires_grad_(False)
        self.sample_as_asked(model)
        return model

    def sample_as_asked(self, model: nn.Module) -> None:
        """Sets how a model is sampled, as `sample.steps` and `sample.sampler` say.

        Raises:
            Mistake: the model has no such samples; the message names the key.
        """
        asked = self.config["sample"]
        if isinstance(model, Stepwise):
            build.checked(model.sample_by, asked["sampler"], asked["steps"])
        for key, only in (("steps", None), ("sampler", "ancestral")):
            if not isinstance(model, Stepwise) and asked[key] != only:
                must = f"must be {only or 'null'} for the model {self.config['choices']['model']}"
                raise Mistake(f"`sample.{key}` {must}, but is {asked[key]}")

    def shortcut(self, model: nn.Module) -> str | None:
        """Returns how a model is sampled where that is not as it says, but faster."""
        sampler, steps = self.config["sample"]["sampler"], self.config["sample"]["steps"]
        if not isinstance(model, Stepwise) or (sampler == "ancestral" and steps is None):
            return None
        return f"{sampler}, in {steps or 'all'} steps"

    def model_of(self, run: Run) -> nn.Module:
        """Returns the model with the run's weights, in training mode and with gradients enabled."""
        if not run.weights_file.exists():
            state = "is still being trained" if run.is_in_training else "has none"
            raise RunFailed(f"{run.path} must have weights, but {state}", f"dgmrun train run={run.path}")
        model = self.new_model()
        parameters.load(model, parameters.read(run.weights_file), run.weights_file)
        return model.to(self.device)
