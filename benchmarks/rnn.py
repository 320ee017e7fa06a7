"""An LSTM of 256 units over strings of lengths of their own, batches of 100, and packed sequences in a plain loop."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks._compare import Comparison
from benchmarks._loops import batches
from benchmarks._stage import BATCH, Stage

SIZE, PLACES, STRINGS, UNITS, VECTOR = 30, 61, 4000, 256, 64
RANDOM = numpy.random.default_rng(0)
LENGTHS = {
    "20": numpy.full(STRINGS, 20),
    "5 to 35": RANDOM.integers(5, 36, STRINGS),
    "10, of a fifth 60": RANDOM.choice([10, 60], STRINGS, p=[0.8, 0.2]),
}
"""Three distributions of lengths whose means are 20."""


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """The peer; and tokens a second of three distributions of lengths with a mean of 20, against strings of 60."""
    steps = 3 if quick else 80
    stages = {name: Stage(strings(length), steps, model=MODEL) for name, length in LENGTHS.items()}
    longer = Stage(strings(numpy.full(STRINGS, 60)), steps, model=MODEL)
    uneven = stages["5 to 35"]
    return [
        Comparison("LSTM, packed in a plain loop", "examples/s", uneven.rate, partial(plain, uneven.x, steps), ">= 1"),
        *(
            Comparison(f"LSTM, lengths {name} : 60", "tokens/s", partial(rate, one), partial(rate, longer))
            for name, one in stages.items()
        ),
    ]


MODEL = ("model=rnn", f"model.hidden={UNITS}", f"model.embedding={VECTOR}", "optimizer.lr=0.001")


def strings(length: NDArray[numpy.int64]) -> list[str]:
    """Overrides that select random strings of these lengths."""
    x = RANDOM.integers(1, SIZE, (STRINGS, PLACES)) * (numpy.arange(PLACES) < length[:, None])
    file = Path(mkdtemp()) / "strings.npy"
    numpy.save(file, x)
    event = f"dataset.event={{shape:[{PLACES}],kind:tokens,size:{SIZE}}}"
    return ["dataset=file", f"dataset.path={file}", "dataset.kind=counts", "dataset.transform=none", event]


def rate(stage: Stage) -> float:
    """Tokens per second of training, the ends included."""
    return stage.rate() * float(lengths(stage.x).double().mean())


def lengths(x: Tensor) -> Tensor:
    """Number of tokens of each string, its end included."""
    return x.ne(0).sum(1) + 1


class Plain(nn.Module):
    """The same network, as most code has it."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Embedding(SIZE + 1, VECTOR)
        self.net = nn.LSTM(VECTOR, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, SIZE)

    def forward(self, x: Tensor) -> Tensor:
        """Mean of -log p of strings."""
        length = lengths(x)
        before = torch.cat((torch.full_like(x[:, :1], SIZE), x[:, :-1]), 1)
        seen, told = (
            pack_padded_sequence(part, length, batch_first=True, enforce_sorted=False)
            for part in (self.units(before), x)
        )
        return cross_entropy(self.head(self.net(seen)[0].data), told.data, reduction="sum") / len(x)


def plain(x: Tensor, steps: int) -> float:
    """Examples per second in a plain loop."""
    net = Plain()
    optimizer = torch.optim.Adam(net.parameters(), 0.001)
    data = batches(x.long())
    start = perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        net(next(data)).backward()
        optimizer.step()
    return steps * BATCH / (perf_counter() - start)
