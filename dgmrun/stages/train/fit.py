"""Training of a run in this process, from scratch or from a checkpoint."""

from __future__ import annotations

import logging
import shlex
import warnings
from datetime import timedelta
from functools import partial
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from dgmrun.data.doubts import alike
from dgmrun.data.source import InMemorySource
from dgmrun.errors import Interrupted, Mistake, RunFailed
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.lightning import Callback, LightningEnvironment, Logger, Trainer
from dgmrun.objectives.state import NonFiniteError
from dgmrun.paths import leaves
from dgmrun.protocols.sources import Source
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.run.files import replace
from dgmrun.stages.train import critic, curve, garbage, history, processes, validation
from dgmrun.stages.train.board import Board
from dgmrun.stages.train.checkpoints import Checkpoints, save_weights
from dgmrun.stages.train.initial import initial_model, say_receptive_field
from dgmrun.stages.train.limits import Limits, iterations, optimizer_steps, seconds
from dgmrun.stages.train.progress import Bar
from dgmrun.stages.train.resume import Resume, restore, restore_rank
from dgmrun.stages.train.saved import Saved, blaming, newest, read
from dgmrun.workbench import build
from dgmrun.workbench.inputs import check_teachers, teacher
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")
for library in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(library).setLevel(logging.ERROR)


def fit(run: Run, setup: Setup) -> None:
    """Trains `run` until a limit is reached, resuming from its newest checkpoint if there is one.

    Raises:
        RunFailed: the loss is not finite, or all checkpoints are damaged.
        Interrupted: by Ctrl-C or SIGTERM; the state is saved.
    """
    check_teachers(setup)
    trainer = make_trainer(setup.config["device"])
    device, is_first = trainer.strategy.root_device, trainer.is_global_zero
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with seeded(setup.config["seed"], "train", trainer.global_rank):
        data = in_memory(setup, device, trainer.global_rank, trainer.world_size)
        clock = limits(setup, len(data))
        model = trainer.strategy.precision_plugin.convert_module(initial_model(run, setup).to(device))
        trained = objective(setup, model, len(data))
        source = source_of(trained, data, setup)
        saved = newest(run.path / "checkpoints")
        if saved is not None and is_over(saved, setup, clock):
            restore(trained, saved)
            if len(saved.ranks) == trainer.world_size:
                restore_rank(trained, saved, trainer.global_rank)
            log.info("train       all is done, at step %d", trained.iteration)
        else:
            if is_first:
                history.record_changes(run, setup, len(data))
                say_receptive_field(model, setup.event)
            before = _sums(trained)
            callbacks = _callbacks(run, setup, trained, source, clock, saved)
            del saved  # or memory would hold the state twice until the end
            with processes.joined(setup.config["device"], timedelta(seconds=setup.config["device"]["timeout"])):
                _train(trainer, trained, source, callbacks, run)
            if trained.iteration and _sums(trained) == before:
                seen = alike(setup.data.splits["train"], setup.is_of_x, setup.config["dataset"]["binarisation"])
                cure = "; ".join(seen) or "raise optimizer.lr or optimizer.clip_norm"
                log.warning("warning: no parameter has moved; %s", cure)
    if clock.reason == "interrupted":
        told = f"interrupted at step {trained.iteration}; all is saved"
        raise Interrupted(told, f"dgmrun run={shlex.quote(str(run.path))}")
    if is_first:
        _finish(run, setup, source, clock, trained)


def _sums(trained: Objective) -> list[float]:
    """Returns the sum of each parameter, by which it is seen whether they have moved."""
    return [float(part.detach().double().sum()) for part in trained.parameters()]


def is_over(saved: Saved, setup: Setup, clock: Limits) -> bool:
    """Returns whether the training is complete at a checkpoint by the current settings; if so, restores the clock."""
    patience = setup.config["trainer"]["patience"]
    with blaming(saved.file):
        is_late = patience is not None and saved.callbacks["Validation"]["waited"] >= patience
        if is_done := is_late or saved.iteration >= clock.max_steps:
            clock.load_state_dict(saved.callbacks["Limits"])
    return is_done


def _finish(run: Run, setup: Setup, source: Source, clock: Limits, trained: Objective) -> None:
    """Saves the final weights and records that the training is complete; idempotent."""
    steps = weights_step = trained.iteration
    if setup.config["trainer"]["patience"] is not None:
        best = read(run.path / "checkpoints" / "best.ckpt")
        restore(trained, best)
        weights_step = best.iteration
    save_weights(run, trained)
    trained.iteration = steps
    history.record(run, source, clock, trained, weights_step, complete=True)
    if clock.reason == "time":
        log.info("train       trainer.max_time is over at step %d of %d", steps, clock.max_steps)
    critic.draw(run, setup, trained)
    if found := curve.draw(run, setup):
        kept = "trainer.patience=10 would keep" if weights_step == steps else "the run has"
        log.info("train       %s; %s the weights of that step", found, kept)
    for doubt in trained.doubts():
        log.warning("warning: %s", doubt)


def in_memory(
    setup: Setup, device: torch.device, rank: int, world_size: int, batch_size: int | None = None
) -> InMemorySource:
    """Returns the source of the training split, on the device, in batches of the configured size if none is given."""
    dataset, train = setup.config["dataset"], setup.data.splits["train"]
    return InMemorySource(
        train.x.to(device),
        None if train.y is None or setup.context is None else train.y.to(device),
        batch_size or dataset["batch_size"],
        setup.config["seed"],
        rank,
        world_size,
        draw=setup.data.draw(),
        arrange=setup.arrangement,
    )


def source_of(trained: Objective, data: InMemorySource, setup: Setup) -> Source:
    """Returns the source of training batches.

    Raises:
        Mistake: it cannot be divided among the processes, or is a stream although epochs are requested.
    """
    source: Source = build.checked(trained.prepare, data)
    for key in ("trainer.max_epochs", "checkpoint.every_n_epochs"):
        section, leaf = key.split(".")
        if setup.config[section][leaf] is not None and source.epochs(1) is None:
            raise Mistake(f"`{key}` must be null, as a stream of samples has no epochs: give steps")
    return source


def limits(setup: Setup, batches: int) -> Limits:
    """Returns the limits of the training; `batches` is the number of batches in an epoch."""
    trainer = setup.config["trainer"]
    return Limits(iterations(trainer, batches), seconds(trainer["max_time"]))


def objective(setup: Setup, model: nn.Module, batches: int) -> Objective:
    """Returns the configured objective for a model; `batches` is the number of batches in an epoch."""
    config = setup.config
    schedule = config["schedule"]
    optimization = build.checked(
        Optimization,
        optimizer=build.maker("optimizer", config["optimizer"]),
        schedule=_schedule(schedule, optimizer_steps(config["trainer"], batches)) if schedule else None,
        clip_norm=config["optimizer"]["clip_norm"],
        ema=config["optimizer"]["ema"],
        accumulate=config["trainer"]["accumulate"],
    )
    others = {"teacher": teacher(setup, next(model.parameters()).dtype)} if "teacher" in config["objective"] else {}
    made = build.maker("objective", config["objective"])(model, optimization, **others)
    assert isinstance(made, Objective)
    if config["device"]["compile"]:
        made.loss = torch.compile(made.loss)  # type: ignore[method-assign]
        made.player_loss = torch.compile(made.player_loss)  # type: ignore[method-assign]
    return made


def _schedule(node: dict[str, Any], steps: int) -> Any:
    """Returns a function that makes the schedule of one player, which ends when the player leaves or training ends."""
    make, horizon = build.maker("schedule", node), node["horizon"]

    def of_player(optimizer: torch.optim.Optimizer, first: int, stop: float) -> Any:
        return make(optimizer, **({} if horizon is None else {horizon: int(max(1, min(steps, stop) - first))}))

    return of_player


def make_trainer(device: dict[str, Any]) -> Trainer:
    """Makes a trainer that only runs the loop; stopping, checkpoints, logging and display are left to our callbacks.

    Several processes look at each step for what no loss has reached in any, and leave it without a gradient, as one
    process does. Otherwise they would wait for the gradients of players whose turn it is not.
    """
    return Trainer(
        **{key: device[key] for key in ("accelerator", "devices", "num_nodes", "precision")},
        strategy="ddp_find_unused_parameters_true" if processes.total(device) > 1 else "auto",
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        plugins=LightningEnvironment(),
    )


def further_logger(setup: Setup) -> Logger | None:
    """Returns the logger that is configured beside TensorBoard and metrics.csv, if any.

    Raises:
        Mistake: its package is not installed, or a setting is invalid.
    """
    node = setup.config["logger"]
    try:
        return None if node is None else build.maker("logger", node)()
    except ModuleNotFoundError as error:
        raise Mistake(f"`logger` must be one whose package is installed, but: {error}", "logger=null") from None


def _opened_logger(setup: Setup) -> Logger | None:
    """Returns the logger once it has logged the settings.

    Raises:
        RunFailed: its store or its server cannot be reached.
    """
    logger = further_logger(setup)
    try:
        if logger is not None:
            logger.log_hyperparams(dict(leaves(setup.config)))
    except Exception as error:  # a store or a server can fail in any way
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise RunFailed(f"`logger` must be one that can log, but {told}", "logger=null") from error
    return logger


def _callbacks(
    run: Run, setup: Setup, trained: Objective, source: Source, clock: Limits, saved: Saved | None
) -> list[Callback]:
    """Returns the callbacks in the order in which they run after a batch; a checkpoint saves those before it."""
    config, every = setup.config, setup.config["trainer"]["validate_every_n_steps"]
    device = next(trained.parameters()).device
    valid = validation.examples(setup, "valid", device)
    is_of_data = source.epochs(1) is not None
    board = Board(run, max(1, every // 10), setup.upright, setup.formats, _opened_logger(setup))
    record = partial(history.record, run, source, clock)
    resume = Resume(source, saved, config["resume"], (config["schedule"] or {}).get("horizon"))
    saving = Checkpoints(run, _checkpoint_every(config["checkpoint"], len(source)), resume, board, record)
    validating = validation.Validation(
        scorer=validation.scorer(setup, trained.model),
        valid=valid,
        train=validation.examples(setup, "train", device, len(valid.batch.x)) if is_of_data else None,
        every=every,
        patience=config["trainer"]["patience"],
        seed=config["seed"],
        limits=clock,
        board=board,
        checkpoints=saving,
    )
    return [resume, clock, validating, board, saving, Bar(clock, validating)]


def _checkpoint_every(checkpoint: dict[str, Any], batches: int) -> int:
    epochs = checkpoint["every_n_epochs"]
    return checkpoint["every_n_steps"] if epochs is None else epochs * batches


@garbage.of_new_objects()
def _train(trainer: Trainer, trained: Objective, source: Source, callbacks: list[Callback], run: Run) -> None:
    """Trains, and empties the trainer: what it holds refers to it, and would stay until garbage is looked for."""
    trainer.callbacks = callbacks  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")  # a waiting generator
            warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")  # and all are used
            trainer.fit(trained, source, weights_only=True)
    except NonFiniteError as error:
        batch = run.path / "non-finite-batch.safetensors"
        replace(batch, save({"x": error.batch.x, "index": error.batch.index}))
        raise RunFailed(
            f"`{error}` is not finite at step {trained.iteration}; {batch.name} and the last good state, "
            f"if there was one, are in {run.path}",
            "lower optimizer.lr, or set optimizer.clip_norm"
            if trained.iteration
            else "nothing has moved yet: other data, or other settings of the model; "
            "dataset.transform=standardise if numbers are large",
        ) from None
    except SystemExit:  # Lightning's answer to a second Ctrl-C
        raise KeyboardInterrupt from None
    finally:
        vars(trainer).clear()
