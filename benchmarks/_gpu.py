"""Steps on a GPU, beside eager Lightning with a DataLoader, and AIS as long as it was published: under ten minutes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import ais, nade
from benchmarks._compare import Comparison
from benchmarks._stage import BATCH, RBM, Stage, clock
from benchmarks.overhead import bare
from benchmarks.vae import Plain
from dgmrun import models
from dgmrun.errors import Mistake
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.nn.binary import marginal_logits
from dgmrun.protocols import Event

BITS, HIDDEN = Event((784,), "binary"), 500
Loss = Callable[[Tensor], Tensor]


def comparisons(data: list[str], quick: bool) -> Iterator[Comparison]:
    """All of them, where there is a GPU.

    Raises:
        Mistake: there is none.
    """
    if not torch.cuda.is_available():
        raise Mistake("`--gpu` must be measured where torch has a GPU, but here it has none")
    return on(data, "gpu", quick)


def on(data: list[str], device: str, quick: bool) -> Iterator[Comparison]:
    """Batches of 100; RuntimeError where a step of ours waits for the GPU."""
    for name, model, steps, peer, target in (
        ("RBM CD-25", (*RBM, "objective=cd", "objective.k=25"), 300, contrastive, ""),
        ("VAE 784-200-200-50", ("model=vae",), 3000, partial(variational, 1), ">= 8"),
        ("IWAE-50", ("model=vae", "objective=iwae", "objective.k=50"), 1000, partial(variational, 50), ""),
        ("NADE 784-500", ("model=nade",), 50, autoregressive, ""),
    ):
        stage = Stage(data, 3 if quick else steps, model=model, device=device)
        if device == "gpu":
            silent(stage)
        theirs = partial(eager, stage, peer)
        yield Comparison(f"{name}, eager Lightning", "examples/s", stage.rate, theirs, target)
    chains, num = (10, 20) if quick else (1000, 14_500)
    yield annealing(stage.x[:1000].to(torch_device(device)), chains, num)


def torch_device(device: str) -> torch.device:
    """What torch calls a device of dgmrun."""
    return torch.device("cuda" if device == "gpu" else device)


def silent(stage: Stage) -> None:
    """Makes some steps, of which none but the first may wait for the GPU.

    Raises:
        RuntimeError: one did; torch says where.
    """
    steps = bare(stage.setup, 4, torch_device("gpu"))
    next(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in steps:
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")


def annealing(x: Tensor, chains: int, num: int) -> Comparison:
    """Seconds of AIS of an RBM 784-500; the figure is ours, and the peer plain torch."""
    with x.device:
        model = models.RBM(BITS, HIDDEN)
    method, logits = AIS(chains, num, "published"), marginal_logits(x)

    def plain() -> float:
        with x.device:
            return float(ais.plain(model, logits, chains, num))

    name = f"AIS, {chains:,} x {num:,}; the figure: seconds"
    ours, theirs = (partial(ais.seconds, call) for call in (partial(method, model, x), plain))
    return Comparison(name, "s", ours, theirs, "<= 2", lambda seconds, _: seconds)


class Eager(LightningModule):
    """A loss as one writes it in an afternoon, by Adam."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """The loss of a batch."""
        return self.loss(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam with its defaults."""
        return torch.optim.Adam(self.network.parameters())


def variational(k: int) -> Eager:
    """The ELBO, or the bound of `k` samples."""
    network = Plain(784, hidden=(200, 200), activation=nn.Tanh)
    return Eager(network, partial(network, k=k))


def autoregressive() -> Eager:
    """The loop over dimensions."""
    network = models.NADE(BITS, HIDDEN)
    return Eager(network, lambda x: -nade.loop(network, x).mean())


def contrastive() -> Eager:
    """CD-25 with `torch.bernoulli`, as the gradient of a difference of free energies."""
    network = models.RBM(BITS, HIDDEN)

    def loss(x: Tensor) -> Tensor:
        with torch.no_grad():
            v = x
            for _ in range(25):
                h = torch.bernoulli(torch.sigmoid(v @ network.weight + network.hidden_bias))
                v = torch.bernoulli(torch.sigmoid(h @ network.weight.t() + network.visible_bias))
        return (network.log_unnormalised(v) - network.log_unnormalised(x)).mean()

    return Eager(network, loss)


def eager(stage: Stage, make: Callable[[], Eager]) -> float:
    """Examples per second of as many steps as the stage has."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet: Any = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator=stage.device, devices=1, max_steps=stage.warm + stage.steps, **quiet)
    loader = DataLoader(TensorDataset(stage.x), BATCH, shuffle=True, drop_last=True)
    with warnings.catch_warnings(), clock(stage.warm, stage.steps, stage.device) as moments:
        warnings.simplefilter("ignore")  # of numbers of workers
        trainer.fit(make(), loader)
    return stage.steps * BATCH / (moments[1] - moments[0])
