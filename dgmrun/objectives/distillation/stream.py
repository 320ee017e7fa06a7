"""Endless streams of samples of one or several teachers, on which a student is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dgmrun.protocols.models import Sampler, context_of
from dgmrun.protocols.samplers import Chain
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch
from dgmrun.rng import seeded

CHAINS = 2000
"""Number of chains, about, that are made where none is asked for."""


@dataclass(frozen=True)
class StreamSettings:
    """How a teacher is sampled. The defaults, with one sweep for each batch, are those of the published experiments.

    Chains start at random bits if they are binary, else at training examples. All of them advance before each batch,
    and batches take them in turn, so that a chain is used again after `num_chains / batch_size * thin` sweeps. Chains
    of a model with an unnormalised top are those of its top, from whose states batches are drawn. From a teacher that
    can be sampled exactly, `num_chains` independent samples are drawn whenever all have been used.

    Args:
        num_chains: number of chains (samples) of all processes together, a multiple of the batch size; null for the
            multiple that is nearest to 2,000.
        burn_in: steps of each chain before the first batch.
        thin: steps before each batch; with 0, the samples are a fixed set that is reused.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    num_chains: int | None = None
    burn_in: int = 2000
    thin: int = 1

    def __post_init__(self) -> None:
        for key, least in (("num_chains", 1), ("burn_in", 0), ("thin", 0)):
            if (value := getattr(self, key)) is not None and value < least:
                raise ValueError(f"`objective.stream.{key}` must be at least {least}, but is {value}")

    def chains(self, batch_size: int) -> int:
        """Returns the number of chains for batches of a size.

        Raises:
            ValueError: it is no multiple of the size.
        """
        if self.num_chains is None:
            return batch_size * max(1, round(CHAINS / batch_size))
        if self.num_chains % batch_size:
            raise ValueError(
                f"`objective.stream.num_chains` must be null or a multiple of `dataset.batch_size`, {batch_size}, "
                f"but is {self.num_chains}"
            )
        return self.num_chains


class TeacherStream:
    """Endless stream of samples of a teacher, determined by the chains, the seed and the position.

    Args:
        teacher: the model to sample.
        settings: how it is sampled.
        data: source of the batch size, the seed, the rank and, for a conditional teacher, the contexts.

    Raises:
        ValueError: the number of chains is not a multiple of the batch size.
    """

    def __init__(self, teacher: nn.Module, settings: StreamSettings, data: Source) -> None:
        self.batch_size, self.seed, self.rank, self.world_size = data.batch_size, data.seed, data.rank, data.world_size
        self.batches = settings.chains(self.batch_size) // self.batch_size
        self.teacher, self.settings, self.data = teacher, settings, data
        self.chain = Chain.of(teacher)
        self.share = self.batch_size // self.world_size
        self.position = 0
        self.chains: Tensor | None = None
        self.context: Tensor | None = None

    def __len__(self) -> int:
        """Returns the number of batches until a chain is used again: an epoch, as far as Lightning is concerned."""
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        """Yields batches until the first chain is used again."""
        for _ in range(len(self) - self.position % len(self)):
            yield self.draw()

    def draw(self) -> Batch:
        """Returns this process's share of the next batch."""
        turn = self.position % len(self)
        with seeded(self.seed, "stream", self.position, self.rank):
            self.chains = self._advanced(turn)
            rows = slice(turn * self.share, (turn + 1) * self.share)
            x = self.chain.shown(self.chains[rows].clone())
        self.position += 1
        return Batch(x, torch.arange(len(x), device=x.device), None if self.context is None else self.context[rows])

    def _advanced(self, turn: int) -> Tensor:
        num, thin = len(self) * self.share, self.settings.thin
        if isinstance(self.teacher, Sampler):
            if self.chains is not None and (turn or not thin):
                return self.chains
            self.context = self._contexts(num)
            return self.teacher.sample(num, self.context)
        chains = self._started(num) if self.chains is None else self.chains
        return self.chain.walker.walk(chains, thin)

    def _started(self, num: int) -> Tensor:
        """Returns chains after burn-in."""
        event: Any = self.chain.walker.event
        if event.kind == "binary":
            start = torch.rand(num, *event.shape).round().to(next(self.teacher.parameters()))
        else:
            start = self.chain.raised(torch.cat([batch.x for batch in self._examples(num)])[:num])
        return self.chain.walker.walk(start, self.settings.burn_in)

    def _contexts(self, num: int) -> Tensor | None:
        """Returns the contexts of the next `num` training examples; None for an unconditional teacher."""
        if context_of(self.teacher) is None:
            return None
        return torch.cat([batch.context for batch in self._examples(num) if batch.context is not None])[:num]

    def _examples(self, num: int) -> Iterator[Batch]:
        found = 0
        while found < num:
            for batch in self.data:
                yield batch
                if (found := found + len(batch.x)) >= num:
                    break

    def state_dict(self) -> dict[str, Any]:
        """Returns the position, the chains and their contexts; binary chains take one byte for each bit."""
        kind = torch.uint8 if self.chain.walker.event.kind == "binary" else None
        return {
            "position": self.position,
            "chains": None if self.chains is None else self.chains.to("cpu", kind),
            "context": None if self.context is None else self.context.cpu(),
            "data": self.data.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the position, the chains and their contexts.

        Raises:
            ValueError: they do not fit this stream.
        """
        self.data.load_state_dict(state["data"])
        self._take(int(state["position"]), state["chains"], state["context"])

    def load_shares(self, states: Sequence[dict[str, Any]]) -> None:
        """Restores a stream saved by a different number of processes; this process takes its share of all chains.

        Raises:
            ValueError: they do not fit this stream.
        """
        self.data.load_shares([state["data"] for state in states])
        chains, context = (
            None if None in [state[key] for state in states] else torch.cat([state[key] for state in states])
            for key in ("chains", "context")
        )
        mine = slice(self.rank, None, self.world_size)
        self._take(
            int(states[0]["position"]),
            None if chains is None else chains[mine],
            None if context is None else context[mine],
        )

    def _take(self, position: int, chains: Any, context: Any) -> None:
        event: Any = self.chain.walker.event
        num, like = len(self) * self.share, next(self.teacher.parameters())
        shape = (num, *event.shape)
        if position < 1 or not isinstance(chains, Tensor) or chains.shape != shape:
            raise ValueError(f"its chains must be samples {list(shape)}, but are {getattr(chains, 'shape', chains)}")
        is_bits = event.kind != "binary" or bool(chains.eq(chains.ne(0)).all())
        if not is_bits or not torch.isfinite(chains).all():
            raise ValueError("its chains must be finite, and bits where the teacher's are, but are not")
        told = context_of(self.teacher)
        if (told is None) != (context is None) or (told is not None and context.shape != (num, *told.shape)):
            raise ValueError("its contexts must be those of its chains, but are not")
        self.position, self.chains = position, event.seen(chains, like)
        self.context = None if context is None else context.to(like.device)

    def epochs(self, steps: int) -> None:
        """Returns None: a stream has no epochs."""

    def examples(self, steps: int) -> int:
        """Returns the number of samples used by all processes together."""
        return steps * self.batch_size


class MixtureStream:
    """Samples of a mixture: each row of a batch is from a teacher drawn with probability equal to its share.

    Args:
        streams: one for each teacher, with the same settings; all advance with every batch.
        shares: mixture weights of the teachers.
    """

    def __init__(self, streams: Sequence[TeacherStream], shares: Sequence[float]) -> None:
        self.streams, self.shares, first = streams, torch.tensor(shares), streams[0]
        self.batch_size, self.seed, self.rank, self.world_size = (
            first.batch_size,
            first.seed,
            first.rank,
            first.world_size,
        )

    def __len__(self) -> int:
        """Returns the number of batches until a chain is used again."""
        return len(self.streams[0])

    def __iter__(self) -> Iterator[Batch]:
        """Yields batches until the first chain is used again."""
        for _ in range(len(self) - self.streams[0].position % len(self)):
            yield self._draw()

    def _draw(self) -> Batch:
        place, batches = self.streams[0].position, [stream.draw() for stream in self.streams]
        with seeded(self.seed, "mixture", place, self.rank):
            which = torch.multinomial(self.shares, len(batches[0].x), replacement=True).to(batches[0].x.device)
        rows = torch.arange(len(which), device=which.device)
        x, context = (
            None if parts[0] is None else torch.stack(parts)[which, rows]
            for parts in zip(*((batch.x, batch.context) for batch in batches), strict=True)
        )
        assert x is not None
        return Batch(x, rows, context)

    def state_dict(self) -> dict[str, Any]:
        """Returns the states of the streams."""
        return {"streams": [stream.state_dict() for stream in self.streams]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the states of the streams.

        Raises:
            ValueError: they do not fit these streams.
        """
        for stream, each in zip(self.streams, state["streams"], strict=True):
            stream.load_state_dict(each)

    def load_shares(self, states: Sequence[dict[str, Any]]) -> None:
        """Restores streams saved by a different number of processes.

        Raises:
            ValueError: they do not fit these streams.
        """
        for place, stream in enumerate(self.streams):
            stream.load_shares([state["streams"][place] for state in states])

    def epochs(self, steps: int) -> None:
        """Returns None: a stream has no epochs."""

    def examples(self, steps: int) -> int:
        """Returns the number of samples used by all processes together."""
        return steps * self.batch_size
