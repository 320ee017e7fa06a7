"""A game for each stage of a pyramid: its best critic, who is moved by it, and when it is played."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Adam

from dgmrun.models.lapgan import LaplacianPyramid
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.lapgan import LAPGAN
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.players import frozen
from dgmrun.paths import options
from dgmrun.protocols.values import Batch, Event
from dgmrun.rng import seeded
from dgmrun.stages.train import fit

OPTIMIZATION = Optimization(partial(Adam, lr=1e-3))
JSD = 0.111421482
"""Jensen-Shannon divergence of N(0, 1) and N(1, 1), in nats."""


def made(shape: tuple[int, ...] = (1, 4, 4), levels: int = 2, network: str = "mlp", **settings: object) -> LAPGAN:
    """Of a small pyramid of pictures of real numbers."""
    model = LaplacianPyramid(Event(shape, "real"), levels=levels, latent=2, hidden=4, maps=4)
    return LAPGAN(model, OPTIMIZATION, Critic(network, hidden=4, depth=1), **settings)  # type: ignore[arg-type]


def test_the_cure_of_a_picture_too_small_to_halve_cures_and_is_named_only_where_it_does() -> None:
    with pytest.raises(ValueError, match=r"`objective.critic.depth` must not halve 1 x 1 .*: model.levels=1 has no"):
        made(network="convolutional")
    assert made(levels=1, network="convolutional")
    with pytest.raises(ValueError, match=r"must not halve 1 x 1 pictures away, but is 1$"):
        made((1, 2, 2), levels=1, network="convolutional")


class Best(nn.Module):
    """The log-ratio of N(c / sqrt 3, 1) and N(0, 1) for each of three details, given c; times a scale of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        """[batch, 1]."""
        shift = c / math.sqrt(3)
        return self.scale * (shift * h - shift**2 / 2).sum((1, 2, 3))[:, None]


def test_the_best_critic_of_a_stage_is_the_conditional_log_ratio() -> None:
    """Of details N(0, 1) where they should be N(c / sqrt 3, 1), c = -1 or 1: their centres are one unit apart."""
    game = made((1, 2, 2), levels=1)
    level = game.model.levels[0]
    level.generate = lambda noise, context: noise[:, :3, None, None]
    game.critic[1] = Best()
    num = 100_000
    with seeded(2, "lapgan"):
        c = 1 - 2.0 * torch.randint(2, (num, 1, 1, 1))
        h = c / math.sqrt(3) + torch.randn(num, 3, 1, 1)
        (_, of_details), f = game.games(), game.games()[1].told(c)
        of_x, of_sample = game.payoff(f(h), f(of_details.generated(num, c)))
    found = game.divergence(of_x + of_sample).detach()
    assert abs(float(found.mean()) - JSD) < 4 * float(found.std()) / math.sqrt(num)
    slopes = (
        torch.stack(
            [
                torch.autograd.grad(part.sum(), game.critic[1].scale, retain_graph=True)[0]
                for part in (of_x + of_sample).split(1000)
            ]
        )
        / 1000
    )
    assert abs(float(slopes.mean())) < 4 * float(slopes.std()) / math.sqrt(len(slopes))


@pytest.mark.parametrize("network", ["mlp", "convolutional"])
def test_a_player_is_moved_by_the_game_of_its_own_stage_alone(network: str) -> None:
    game = made(network=network) if network == "mlp" else made((1, 8, 8), network=network)
    batch = Batch(torch.randn(6, *game.model.event.shape), torch.arange(6))
    players = {player.name: player.parameters for player in game.players()}
    stages = len(game.model.stages())
    assert [*players] == [f"{role}_{place}" for place in range(stages) for role in ("critic", "generator")]
    assert {part for parts in players.values() for part in parts} == {*game.trained_parameters()}
    for name, mine in players.items():
        game.zero_grad()
        game.player_loss(name, batch)[0].backward()
        touched = {part for part in game.parameters() if part.grad is not None}
        place = name.rpartition("_")[2]
        assert {*mine} <= touched <= {*players[f"critic_{place}"], *players[f"generator_{place}"]}
        assert all(part.grad.any() for part in mine)
        game.zero_grad()
        with frozen([part for part in game.parameters() if part not in {*mine}]):
            game.player_loss(name, batch)[0].backward()
        assert {part for part in game.parameters() if part.grad is not None} == {*mine}
    assert game.watched(batch).shape == (6,)


def test_a_convolutional_critic_sees_the_coarser_picture_where_it_is() -> None:
    """Moved with the details by as many pixels as its stride, it moves what the first layer gives."""
    critic = Critic("convolutional", hidden=4, depth=1).net(Event((3, 8, 8), "real"), Event((1, 8, 8), "real"))
    h, c = torch.randn(1, 3, 8, 8), torch.randn(1, 1, 8, 8)
    first = critic.net[0]
    whole, moved = (first(torch.cat((x, y), 1)) for x, y in ((h, c), (h.roll(2, 3), c.roll(2, 3))))
    assert first.in_channels == 4
    torch.testing.assert_close(moved[..., 2:3], whole[..., 1:2])
    assert not torch.allclose(critic(h, c), critic(h, c.roll(2, 3)))


def test_stages_play_at_once_or_one_after_another() -> None:
    def who(game: LAPGAN, step: int) -> str:
        return " ".join(player.name for player in game.players() if player.plays(step))

    at_once = "critic_0 generator_0 critic_1 generator_1 critic_2 generator_2"
    assert who(made(), 0) == who(made(), 10**9) == at_once
    game = made(stage_steps=3, k=2)
    assert [who(game, step) for step in range(6)] == [
        f"critic_{place} generator_{place}" if step == 1 else f"critic_{place}" for place in (0, 1) for step in range(3)
    ], "every second critic's step of a game, from its first on"
    assert [who(game, step) for step in (6, 7, 10**9)] == ["critic_2", "critic_2 generator_2", "critic_2"]
    assert len(game.configure_optimizers()) == 6


def test_a_stage_that_was_never_trained_is_told_in_words() -> None:
    game = made(stage_steps=3)
    game.iteration = 4
    (doubt,) = game.doubts()
    assert doubt.startswith(
        "stage 2 (0 is the first, and coarsest): the generator has made no step in 4 batches, as 6 steps of other "
        "stages come first"
    )
    game.iteration = 7
    assert game.doubts() == []
    game.rank_state["moments_1"] = torch.tensor([0.001, 0.01, 1.0, 1.0])
    assert [doubt.partition(":")[0] for doubt in game.doubts()] == ["stage 1 (0 is the first, and coarsest)"] * 2


@pytest.mark.parametrize("steps", [0, 1])
def test_stages_that_are_too_short_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=r"`objective\.stage_steps` must be null or a whole number of at least"):
        made(stage_steps=steps, k=2)


def test_a_schedule_is_of_all_steps_of_its_stage() -> None:
    """At the last of them, the learning rate has come to its end, whenever the stage began."""
    make = fit._schedule(yaml.safe_load(options("schedule")["cosine"].read_text()), 20)
    for first, stop, steps in ((0, 6, 6), (6, 12, 6), (12, math.inf, 8), (30, math.inf, 1)):
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(()))], lr=0.1)
        assert make(optimizer, first, stop).T_max == steps


def test_taken_up_within_and_between_stages_a_training_ends_with_the_same_bits(dgmrun: Callable[..., int]) -> None:
    """Schedules that begin with each stage, and a moving average, too."""
    small = (
        "model=lapgan model.levels=1 model.hidden=4 model.maps=2 objective.critic.hidden=4 objective.stage_steps=3 "
        "objective.k=2 schedule=multistep schedule.milestones=[2] optimizer.ema=0.9 dataset.batch_size=8 "
        "trainer.accumulate=2 trainer.validate_every_n_steps=100 train"
    ).split()
    assert dgmrun(*small, "trainer.max_steps=13", "hydra.run.dir=whole") == 0
    assert dgmrun(*small, "trainer.max_steps=5", "hydra.run.dir=parts") == 0
    for steps in (6, 13):
        assert dgmrun("train", "run=parts", f"trainer.max_steps={steps}") == 0
    whole, parts = (torch.load(Path(run) / "checkpoints" / "last.ckpt") for run in ("whole", "parts"))
    assert [state["last_epoch"] for state in whole["schedule_states"]] == [3, 3, 3, 3]
    for key in ("schedule_states", "optimizer_states"):
        assert f"{whole[key]}" == f"{parts[key]}"
    for name in ("weights", "weights-ema"):
        one, other = (load_file(f"{run}/{name}.safetensors") for run in ("whole", "parts"))
        assert all(torch.equal(part, other[key]) for key, part in one.items())
