"""The train stage as the command line runs it, and the rate at which it trains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from dgmrun.command import arguments, compose, execution
from dgmrun.stages import train
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

BATCH, HIDDEN, RATE = 100, 500, 0.05
RBM = ("model=rbm", f"model.hidden={HIDDEN}", f"optimizer.lr={RATE}")


class Stage:
    """`dgmrun model=... train`, its data loaded.

    Args:
        data: overrides that select the dataset.
        steps: how many to measure.
        overrides: what is not as it is by default.
        model: and what the model is.
        validated: with the validations and checkpoints of the default settings, or with none before the end.
        device: on which.
    """

    def __init__(
        self,
        data: list[str],
        steps: int,
        *overrides: str,
        model: Sequence[str] = RBM,
        validated: bool = False,
        device: str = "cpu",
    ) -> None:
        self.steps, self.warm, self.device = steps, max(1, steps // 10), device
        limits = [f"dataset.batch_size={BATCH}", f"trainer.max_steps={steps + self.warm}"]
        if not validated:
            limits += [f"trainer.validate_every_n_steps={2 * steps}", f"checkpoint.every_n_steps={2 * steps}"]
        with TemporaryDirectory() as folder:
            argv = [*model, f"device={device}", *data, *limits, *overrides, f"hydra.run.dir={folder}"]
            composed = compose.compose(arguments.parse(argv))
        assert composed is not None
        self.setup = Setup(build.completed(composed[0]))
        self.x: Tensor = self.setup.data.splits["train"].x.flatten(1).float()

    def rate(self) -> float:
        """Examples per second of the last `steps` of a new run, which has a tenth more to warm up.

        Counted from one optimiser step to another: whatever happens in between is in; the start of the run
        and the validation that closes it are not.
        """
        with TemporaryDirectory() as folder, clock(self.warm, self.steps, self.device) as moments:
            run = execution.create(self.setup, Path(folder), "make bench")
            train.main(run, self.setup.of_run(run.path))
        return self.steps * BATCH / (moments[1] - moments[0])


@contextmanager
def clock(warm: int, steps: int, device: str) -> Iterator[list[float]]:
    """Collects two moments in seconds: when `warm` batches are trained on, and when `steps` more are.

    Of several optimisers, whose players have a step each for a batch, the first to make one counts.
    """
    moments: list[float] = []
    made: Counter[Optimizer] = Counter()

    def tick(optimizer: Optimizer, *_: object) -> None:
        made[optimizer] += 1
        if optimizer is next(iter(made)) and made[optimizer] in (warm, warm + steps):
            if device == "gpu":
                torch.cuda.synchronize()
            moments.append(perf_counter())

    hook = register_optimizer_step_post_hook(tick)
    try:
        yield moments
    finally:
        hook.remove()
