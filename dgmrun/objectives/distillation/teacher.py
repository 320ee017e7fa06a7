"""A teacher: any model that can be sampled, and the endless stream of its samples that a student is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dgmrun.protocols.models import Sampler, TractableDensity, UnnormalisedDensity
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch, Estimate
from dgmrun.rng import seeded


class Teacher(NamedTuple):
    """A trained model, which stays as it is.

    Args:
        model: an unnormalised density, or any that can be sampled directly.
        log_z: the best estimate of its log Z that there is, if there is one.
    """

    model: nn.Module
    log_z: Estimate | None

    @property
    def has_density(self) -> bool:
        """Whether `log_density` can be asked for."""
        return isinstance(self.model, (TractableDensity, UnnormalisedDensity))

    def log_density(self, x: Tensor) -> Tensor:
        """log f(x), up to log Z where the teacher is unnormalised, [batch]."""
        if isinstance(self.model, TractableDensity):
            return self.model.log_prob(x)
        return self.model.log_unnormalised(x)  # type: ignore[operator]


@dataclass(frozen=True)
class StreamSettings:
    """How a teacher is sampled; published: 2,000 chains, 2,000 sweeps of burn-in, one sweep for each batch.

    Chains start at random bits, all advance before each batch, and the batch takes the next of them in turn, so that
    two uses of a chain are `num_chains / batch_size * thin` sweeps apart. A teacher that is sampled directly is asked
    for `num_chains` independent samples whenever all are used.

    Args:
        num_chains: samples that are held, by all processes together; a multiple of the batch size.
        burn_in: Gibbs sweeps before the first batch.
        thin: Gibbs sweeps before each batch; 0 makes the samples a fixed bank, used again and again.

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
        data: whose batch size, seed and share of the processes it takes.

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
        self.teacher, self.settings = teacher, settings
        self.share = self.batch_size // self.world_size
        self.position = 0
        self.chains: Tensor | None = None

    def __len__(self) -> int:
        """Batches until a chain is used again: the stream has no epochs, but Lightning wants some."""
        return self.settings.num_chains // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        """The batches until the first chain's next turn."""
        for _ in range(len(self) - self.position % len(self)):
            x = self.draw()
            yield Batch(x, torch.arange(len(x), device=x.device))

    def draw(self) -> Tensor:
        """This process's share of the next batch, [batch, *event.shape]."""
        turn = self.position % len(self)
        with seeded(self.seed, "stream", self.position, self.rank):
            self.chains = self._advanced(turn)
        self.position += 1
        return self.chains[turn * self.share :][: self.share].clone()

    def _advanced(self, turn: int) -> Tensor:
        num, thin = len(self) * self.share, self.settings.thin
        if isinstance(self.teacher, Sampler):
            is_used_up = self.chains is None or (turn == 0 and thin)
            return self.teacher.sample(num) if is_used_up else self.chains  # type: ignore[return-value]
        chains = self.chains
        if chains is None:
            bits = torch.rand(num, *self.teacher.event.shape).round()  # type: ignore[misc]
            chains = self.teacher.gibbs(bits.to(next(self.teacher.parameters())), self.settings.burn_in)  # type: ignore[operator]
        return self.teacher.gibbs(chains, thin)  # type: ignore[operator]

    def state_dict(self) -> dict[str, Any]:
        """How many batches were given, and the chains [chains, *event.shape]; bits take a byte each."""
        kind = torch.uint8 if self.teacher.event.support == "binary" else None  # type: ignore[union-attr]
        return {"position": self.position, "chains": None if self.chains is None else self.chains.to("cpu", kind)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them back.

        Raises:
            ValueError: they are not such as these.
        """
        self._take(int(state["position"]), state["chains"], len(self) * self.share)

    def load_shares(self, states: Sequence[dict[str, Any]]) -> None:
        """Takes up the place of another number of processes: this process's share of all their chains.

        Raises:
            ValueError: they are not such as these.
        """
        chains = torch.cat([state["chains"] for state in states])[self.rank :: self.world_size]
        self._take(int(states[0]["position"]), chains, len(self) * self.share)

    def _take(self, position: int, chains: Any, num: int) -> None:
        event: Any = self.teacher.event
        shape = (num, *event.shape)
        if position < 1 or not isinstance(chains, Tensor) or chains.shape != shape:
            raise ValueError(f"its chains must be samples {list(shape)}, but are {getattr(chains, 'shape', chains)}")
        is_bits = event.support != "binary" or bool(chains.eq(chains.ne(0)).all())
        if not is_bits or not torch.isfinite(chains).all():
            raise ValueError("its chains must be finite, and bits where the teacher's support is binary, but are not")
        self.position, self.chains = position, chains.to(next(self.teacher.parameters()))

    def epochs(self, steps: int) -> None:
        """There are none."""

    def examples(self, steps: int) -> int:
        """Samples that all processes were given together."""
        return steps * self.batch_size
