"""The endless stream of a teacher's samples that a student is trained on, or of several teachers'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dgmrun.protocols.models import Sampler
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch
from dgmrun.rng import seeded


@dataclass(frozen=True)
class StreamSettings:
    """How a teacher is sampled; published: 2,000 chains, 2,000 sweeps of burn-in, one sweep for each batch.

    Chains start at random bits, or at training examples where they are not binary; all advance before each batch, and
    the batch takes the next of them in turn, so that two uses of a chain are `num_chains / batch_size * thin` sweeps
    apart. A teacher that is sampled directly is asked for `num_chains` independent samples whenever all are used.

    Args:
        num_chains: samples that are held, by all processes together; a multiple of the batch size.
        burn_in: steps of each chain before the first batch.
        thin: steps before each batch; 0 makes the samples a fixed bank, used again and again.

    Raises:
        ValueError: names the key.
    """

    num_chains: int = 2000
    burn_in: int = 2000
    thin: int = 1

    def __post_init__(self) -> None:
        for key, least in (("num_chains", 1), ("burn_in", 0), ("thin", 0)):
            if (value := getattr(self, key)) < least:
                raise ValueError(f"`objective.stream.{key}` must be at least {least}, but is {value}")


class TeacherStream:
    """Samples of a teacher without end. What comes next is a function of the chains, the seed and the position.

    Args:
        teacher: the model.
        settings: how it is sampled.
        data: whose batch size, seed and share of the processes it takes, and whose contexts a conditional teacher.

    Raises:
        ValueError: the chains cannot be dealt out in whole batches.
    """

    def __init__(self, teacher: nn.Module, settings: StreamSettings, data: Source) -> None:
        self.batch_size, self.seed, self.rank, self.world_size = data.batch_size, data.seed, data.rank, data.world_size
        if settings.num_chains % self.batch_size:
            raise ValueError(
                f"`objective.stream.num_chains` must be a multiple of `dataset.batch_size`, {self.batch_size}, "
                f"but is {settings.num_chains}"
            )
        self.teacher, self.settings, self.data = teacher, settings, data
        self.share = self.batch_size // self.world_size
        self.position = 0
        self.chains: Tensor | None = None
        self.context: Tensor | None = None

    def __len__(self) -> int:
        """Batches until a chain is used again: the stream has no epochs, but Lightning wants some."""
        return self.settings.num_chains // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        """The batches until the first chain's next turn."""
        for _ in range(len(self) - self.position % len(self)):
            yield self.draw()

    def draw(self) -> Batch:
        """This process's share of the next batch."""
        turn = self.position % len(self)
        with seeded(self.seed, "stream", self.position, self.rank):
            self.chains = self._advanced(turn)
        self.position += 1
        rows = slice(turn * self.share, (turn + 1) * self.share)
        x = self.chains[rows].clone()
        return Batch(x, torch.arange(len(x), device=x.device), None if self.context is None else self.context[rows])

    def _advanced(self, turn: int) -> Tensor:
        num, thin = len(self) * self.share, self.settings.thin
        if isinstance(self.teacher, Sampler):
            if self.chains is not None and (turn or not thin):
                return self.chains
            self.context = self._contexts(num)
            return self.teacher.sample(num, self.context)
        chains = self._started(num) if self.chains is None else self.chains
        return self.teacher.walk(chains, thin)  # type: ignore[operator]

    def _started(self, num: int) -> Tensor:
        """Chains after their burn-in."""
        event: Any = self.teacher.event
        if event.kind == "binary":
            start = torch.rand(num, *event.shape).round().to(next(self.teacher.parameters()))
        else:
            start = torch.cat([batch.x for batch in self._examples(num)])[:num]
        return self.teacher.walk(start, self.settings.burn_in)  # type: ignore[operator]

    def _contexts(self, num: int) -> Tensor | None:
        """Those of so many training examples, the next in their order; None where nothing is given."""
        if getattr(self.teacher, "context", None) is None:
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
        """How many batches were given, and the samples that are held; bits take a byte each."""
        kind = torch.uint8 if self.teacher.event.kind == "binary" else None  # type: ignore[union-attr]
        return {
            "position": self.position,
            "chains": None if self.chains is None else self.chains.to("cpu", kind),
            "context": None if self.context is None else self.context.cpu(),
            "data": self.data.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them back.

        Raises:
            ValueError: they are not such as these.
        """
        self.data.load_state_dict(state["data"])
        self._take(int(state["position"]), state["chains"], state["context"])

    def load_shares(self, states: Sequence[dict[str, Any]]) -> None:
        """Takes up the place of another number of processes: this process's share of all their chains.

        Raises:
            ValueError: they are not such as these.
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
        event: Any = self.teacher.event
        num, like = len(self) * self.share, next(self.teacher.parameters())
        shape = (num, *event.shape)
        if position < 1 or not isinstance(chains, Tensor) or chains.shape != shape:
            raise ValueError(f"its chains must be samples {list(shape)}, but are {getattr(chains, 'shape', chains)}")
        is_bits = event.kind != "binary" or bool(chains.eq(chains.ne(0)).all())
        if not is_bits or not torch.isfinite(chains).all():
            raise ValueError("its chains must be finite, and bits where the teacher's are, but are not")
        told: Any = getattr(self.teacher, "context", None)
        if (told is None) != (context is None) or (told is not None and context.shape != (num, *told.shape)):
            raise ValueError("its contexts must be those of its chains, but are not")
        is_float = event.dtype.is_floating_point
        self.position, self.chains = position, chains.to(like) if is_float else chains.to(like.device, event.dtype)
        self.context = None if context is None else context.to(like.device)

    def epochs(self, steps: int) -> None:
        """There are none."""

    def examples(self, steps: int) -> int:
        """Samples that all processes were given together."""
        return steps * self.batch_size


class MixtureStream:
    """Samples of a mixture: each row of a batch is of a teacher that is drawn in proportion to its share.

    Args:
        streams: one for each teacher, of the same settings; all advance with every batch.
        shares: of the teachers.
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
        """Batches until a chain is used again."""
        return len(self.streams[0])

    def __iter__(self) -> Iterator[Batch]:
        """The batches until the first chain's next turn."""
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
        """Those of the streams."""
        return {"streams": [stream.state_dict() for stream in self.streams]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them back.

        Raises:
            ValueError: they are not such as these.
        """
        for stream, each in zip(self.streams, state["streams"], strict=True):
            stream.load_state_dict(each)

    def load_shares(self, states: Sequence[dict[str, Any]]) -> None:
        """Takes up the place of another number of processes.

        Raises:
            ValueError: they are not such as these.
        """
        for place, stream in enumerate(self.streams):
            stream.load_shares([state["streams"][place] for state in states])

    def epochs(self, steps: int) -> None:
        """There are none."""

    def examples(self, steps: int) -> int:
        """Samples that all processes were given together."""
        return steps * self.batch_size
