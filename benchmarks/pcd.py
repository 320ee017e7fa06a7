"""PCD-1 of an RBM with 784 visible and 500 hidden units in batches of 100, through the whole train stage."""

from __future__ import annotations

from functools import partial
from time import perf_counter

from sklearn.neural_network import BernoulliRBM
from torch import Tensor

from benchmarks._compare import Comparison
from benchmarks._loops import comparing, contrastive
from benchmarks._stage import BATCH, HIDDEN, RATE, Stage


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Without validations, since the peers have none, and with those of the default settings."""
    steps = 50 if quick else 2000
    stage, validated = Stage(data, steps), Stage(data, steps, validated=True)
    plain = partial(contrastive, stage.x, steps, k=1, persistent=True, sample=comparing)
    peer = partial(scikit_learn, stage.x, steps)
    return [
        Comparison("PCD-1, scikit-learn", "examples/s", stage.rate, peer, ">= 1.3"),
        Comparison("PCD-1, plain torch", "examples/s", stage.rate, plain, ">= 1.05"),
        Comparison("PCD-1, validated; plain torch, not validated", "examples/s", validated.rate, plain),
    ]


def scikit_learn(x: Tensor, steps: int) -> float:
    """Examples per second of `fit`, over as many batches."""
    rows = x[: steps * BATCH].numpy()
    epochs = steps * BATCH // len(rows)
    peer = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=BATCH, n_iter=epochs)
    start = perf_counter()
    peer.fit(rows)
    return epochs * len(rows) / (perf_counter() - start)
