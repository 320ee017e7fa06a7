"""Any number of players: whose turn it is, and who is moved by what."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from dgmrun.data.source import InMemorySource
from dgmrun.objectives.average import average
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.players import Player, seats
from dgmrun.objectives.state import alike, all_alike
from dgmrun.protocols.values import Batch

BATCH = Batch(torch.ones(4, 1), torch.arange(4))


class Trio(Objective):
    """Two that move the model's own, and one of the objective's."""

    requires: ClassVar[type] = nn.Module

    def __init__(self, optimization: Optimization) -> None:
        super().__init__(nn.ParameterDict({"a": torch.ones(2, 2), "b": torch.ones(3)}), optimization)
        self.c = nn.Parameter(torch.ones(()))
        self.unused = nn.Parameter(torch.ones(()))
        self.rank_state["seen"] = torch.zeros(1)
        self.moves: list[str] = []

    def players(self) -> list[Player]:
        """Of the first every step is its own, of the others fewer."""
        shared = [] if self.optimization.accumulate > 1 else [self.model["a"]]
        return [
            Player("critic", [self.c]),
            Player("encoder", [self.model["a"]], rate=0.5, every=2),
            Player("decoder", [self.model["b"], *shared], every=3),
        ]

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The same for everybody: only who is moved differs."""
        total = self.model["a"].sum() + self.model["b"].sum() + self.c + self.unused
        moved = [key for key, part in self.named_parameters() if part.requires_grad]
        return total * batch.x.mean(), {f"{name}_moves": torch.tensor(float(len(moved)))}

    def moved(self, name: str) -> None:
        """Keeps who was."""
        self.moves.append(name)


class Driven:
    """An objective with its optimisers, as Lightning would hold them."""

    def __init__(self, objective: Any) -> None:
        self.objective = objective
        made = objective.configure_optimizers()
        optimizers = [each["optimizer"] if isinstance(each, dict) else each for each in made]
        objective.optimizers = lambda use_pl_optimizer: optimizers
        objective.lr_schedulers = lambda: [each["lr_scheduler"] for each in made] if isinstance(made[0], dict) else None
        objective.manual_backward = Tensor.backward
        objective._trainer = SimpleNamespace(world_size=1)
        self.rates = lambda: [each.param_groups[0]["lr"] for each in optimizers]

    def steps(self, num: int) -> list[dict[str, Tensor]]:
        """The terms of so many batches."""
        return [self.objective.training_step(BATCH, 0) for _ in range(num)]


def test_each_plays_in_its_turn_and_moves_its_own() -> None:
    trio = Trio(Optimization(partial(torch.optim.SGD, lr=0.1)))
    terms = Driven(trio).steps(6)
    assert trio.moves == "critic critic encoder critic decoder critic encoder critic critic encoder decoder".split()
    assert trio.c.item() == pytest.approx(1 - 6 * 0.1)
    assert trio.model["b"].tolist() == pytest.approx([1 - 2 * 0.1] * 3)
    assert trio.model["a"][0, 0].item() == pytest.approx(1 - 3 * 0.05 - 2 * 0.1)
    assert trio.unused.item() == 1
    assert terms[0].keys() == {"loss", "critic_moves", "critic_loss", "critic_gradient"}
    assert terms[5].keys() >= {"critic_loss", "encoder_loss", "decoder_loss", "decoder_gradient"}
    assert [float(terms[5][f"{name}_moves"]) for name in ("critic", "encoder", "decoder")] == [1, 1, 2]
    assert terms[5]["loss"] == terms[5]["critic_loss"]
    assert terms[5]["decoder_gradient"].item() == pytest.approx(7**0.5)
    assert all(part.requires_grad for part in trio.parameters())


def test_a_moving_average_decays_once_a_step_in_which_any_player_moves_the_model() -> None:
    """At the second, third, fourth and sixth of six steps, the last of which two players make."""
    trio = Trio(Optimization(partial(torch.optim.SGD, lr=0.1), ema=0.5))
    driven, expected = Driven(trio), average(trio.model, 0.5)
    for step in range(1, 7):
        driven.steps(1)
        if step in (2, 3, 4, 6):
            expected.update_parameters(trio.model)
    for found, known in zip(trio.evaluated.parameters(), expected.module.parameters(), strict=True):
        assert torch.equal(found, known)
    assert trio.average is not None
    assert trio.average.n_averaged.item() == 4


def line(optimizer: torch.optim.Optimizer, first: int, stop: float) -> torch.optim.lr_scheduler.LinearLR:
    """To 0 in ten steps, or as many as there are."""
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, int(min(stop - first, 10)))


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_schedules_and_turns_of_a_player_begin_when_it_does_and_end_with_it() -> None:
    trio = Trio(Optimization(partial(torch.optim.SGD, lr=0.1), schedule=line))
    early = Player("early", [trio.model["a"]], stop=4)
    late = [Player("late", [trio.c], first=4), Player("rare", [trio.model["b"]], every=3, first=4, stop=8)]
    trio.players = lambda: [early, *late]  # type: ignore[method-assign]
    driven, rates = Driven(trio), []
    for _ in range(10):
        driven.steps(1)
        rates.append(driven.rates())
    begun = [0.1] * 4
    assert [each[0] for each in rates] == pytest.approx([0.075, 0.05, 0.025, *[0] * 7], abs=1e-12)
    assert [each[1] for each in rates] == pytest.approx([*begun, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04])
    assert [each[2] for each in rates] == pytest.approx([*begun, 0.075, 0.05, 0.025, *[0] * 3], abs=1e-12)
    assert trio.moves == [*["early"] * 4, "late", "late", "late", "rare", *["late"] * 3]
    trio.reschedule(6)
    assert driven.rates() == pytest.approx([0, 0.08, 0.05], abs=1e-12)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_schedules_go_on_while_a_player_waits_and_steps_are_of_accumulated_batches() -> None:
    trio = Trio(Optimization(partial(torch.optim.SGD, lr=0.1), schedule=line, accumulate=2, ema=0.0))
    driven = Driven(trio)
    driven.steps(3)
    assert trio.moves == ["critic"]
    assert driven.rates() == pytest.approx([0.09, 0.045, 0.09])
    assert trio.learning_rate == pytest.approx(0.045), "of the first that moves the model"
    assert trio.model["a"].grad is not None, "the encoder's turn has begun"
    driven.steps(1)
    assert trio.moves == ["critic", "critic", "encoder"]
    assert torch.equal(trio.evaluated["a"], trio.model["a"])
    assert trio.average is not None
    assert trio.average.n_averaged.item() == 1


def test_processes_average_gradients_once_for_each_step() -> None:
    """Not for the batches before, whose gradients wait where they are."""
    trio, alone = Trio(Optimization(partial(torch.optim.SGD, lr=0.1), accumulate=3)), []

    def blocked() -> AbstractContextManager[None]:
        alone.append(trio.iteration)
        return nullcontext()

    driven = Driven(trio)
    trio._trainer = SimpleNamespace(world_size=2, strategy=SimpleNamespace(block_backward_sync=blocked))
    driven.steps(3)
    assert trio.moves == ["critic"]
    assert alone == [0, 1]


def test_what_is_watched_is_of_the_moving_average() -> None:
    trio = Trio(Optimization(partial(torch.optim.SGD, lr=0.1), ema=0.9))
    Driven(trio).steps(3)
    trained, own = trio.model, trio.watched(BATCH)
    with trio.undisturbed():
        assert trio.model is trio.evaluated
        assert not torch.equal(trio.watched(BATCH), own)
    assert trio.model is trained
    assert torch.equal(trio.watched(BATCH), own)


def test_what_is_watched_is_the_loss_of_the_first_where_nothing_else_is() -> None:
    trio = Trio(Optimization(partial(torch.optim.SGD, lr=0.1)))
    assert trio.watched(BATCH).tolist() == [trio.loss(BATCH)[0].item()]
    assert not trio.watched(BATCH).requires_grad


class Nothing(Objective):
    """Says nothing of what is descended."""

    requires: ClassVar[type] = nn.Module


def test_an_objective_without_a_loss_says_so() -> None:
    nothing = Nothing(nn.Linear(1, 1), Optimization(partial(torch.optim.SGD, lr=0.1)))
    with pytest.raises(NotImplementedError, match="Nothing must say what model descends"):
        nothing.loss(BATCH)


def test_players_of_one_name_or_that_all_wait_are_refused() -> None:
    part = nn.Parameter(torch.ones(()))
    gap = [Player("a", [part], stop=3), Player("b", [part], first=4)]
    for players in ([Player("a", [part]), Player("a", [part])], [Player("a", [part], every=2)], gap, gap[:1]):
        with pytest.raises(ValueError, match="players must"):
            seats(players, [part], nn.Linear(1, 1))
    assert seats([Player("b", [part], first=3), Player("a", [part], stop=3)], [part], nn.Linear(1, 1))


def test_players_that_share_parameters_do_not_accumulate_gradients() -> None:
    trio = Trio(Optimization(partial(torch.optim.SGD, lr=0.1), accumulate=2))
    trio.players = lambda: [Player(name, [trio.c]) for name in "ab"]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"`trainer\.accumulate` must be 1"):
        trio.configure_optimizers()


def test_state_of_a_rank_goes_where_the_model_is_and_comes_back_in_place() -> None:
    trio = Trio(Optimization(partial(torch.optim.SGD, lr=0.1)))
    trio.model.double()
    data = InMemorySource(torch.ones(4, 1), None, 4, seed=0)
    assert trio.prepare(data) is data
    own = trio.rank_state["seen"]
    assert own.dtype == torch.float64
    trio.take_rank_state({"seen": torch.ones(1)})
    assert own.item() == 1
    for state in ({}, {"seen": torch.ones(2)}, {"seen": torch.full((1,), torch.nan)}, {"seen": 1.0}, "x"):
        with pytest.raises(ValueError, match="its "):
            trio.take_rank_state(state)
    for state in ({"seen": torch.ones(1), "more": torch.ones(1)}, {"seen": torch.ones(1, dtype=torch.bool)}):
        with pytest.raises(ValueError, match="its "):
            trio.take_rank_state(state)


def test_only_tensors_of_the_same_kind_are_alike() -> None:
    bits, numbers = torch.ones(2, dtype=torch.bool), torch.ones(2)
    assert alike(bits, bits, "x") is bits
    assert alike(numbers.double(), numbers, "x").dtype == torch.float64
    for value, like in ((bits, numbers), (numbers, bits), (numbers.long(), numbers), (numbers.cfloat(), numbers)):
        with pytest.raises(ValueError, match="its x must be"):
            alike(value, like, "x")
    with pytest.raises(ValueError, match="its state must"):
        all_alike([numbers], {"x": numbers}, "state")


def test_a_moving_average_forgets_the_first_weights_of_a_short_training() -> None:
    """With the decay (1 + n) / (10 + n), the weights of update n count in proportion to C(n + 9, 8), or 10 at first."""
    model = nn.Linear(3, 2, bias=False).double()
    every = torch.randn(60, 2, 3, dtype=torch.float64)
    cautious, short = average(model, 0.9999), average(model, 0.5)
    for weights in every:
        model.weight.data.copy_(weights)
        cautious.update_parameters(model)
        short.update_parameters(model)
    shares = torch.tensor([10, *(math.comb(n + 9, 8) for n in range(1, 60))]).double() / math.comb(69, 9)
    torch.testing.assert_close(cautious.module.weight, torch.tensordot(shares, every, 1), rtol=0, atol=1e-12)
    halves = 0.5 ** torch.arange(1, 41).flip(0)
    torch.testing.assert_close(short.module.weight, torch.tensordot(halves.double(), every[-40:], 1), rtol=0, atol=1e-9)
