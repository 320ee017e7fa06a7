"""Progressive growth: which resolution is when, what is blended with what, and that each part is what was published."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from dgmrun.models.gan import Generator
from dgmrun.models.progressive_gan import ProgressiveGAN
from dgmrun.nn.progressive import (
    Conv2d,
    Decoder,
    Encoder,
    Linear,
    MinibatchDeviation,
    PixelNorm,
    Resolution,
    enlarged,
    reduced,
    resolutions,
)
from dgmrun.objectives.adversarial.base import Adversarial
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.gan import GAN
from dgmrun.objectives.adversarial.wgan_gp import WGANGP
from dgmrun.objectives.base import Optimization
from dgmrun.protocols.values import Batch, Event

Command = Callable[..., int]
SHAPE = (1, 16, 16)
SMALL = (
    "model=progressive_gan model.hidden=2 objective.critic.hidden=2 model.fade=4 model.stable=4 dataset.batch_size=8 "
    "trainer.validate_every_n_steps=6 checkpoint.every_n_steps=100 optimizer.ema=0.9 train"
).split()


def model(fade: int = 4, stable: int = 2, kind: str = "unit") -> ProgressiveGAN:
    """Of pictures of 16 x 16, 8 x 8 and 4 x 4, in double precision."""
    return ProgressiveGAN(Event(SHAPE, kind), latent=5, hidden=2, fade=fade, stable=stable).double()


def pictures(num: int = 6) -> Tensor:
    return torch.rand(num, *SHAPE, dtype=torch.float64)


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((1, 28, 28), [(7, 7), (14, 14), (28, 28)]),
        ((3, 32, 32), [(4, 4), (8, 8), (16, 16), (32, 32)]),
        ((1, 8, 8), [(4, 4), (8, 8)]),
        ((1, 24, 16), [(6, 4), (12, 8), (24, 16)]),
        ((1, 28, 20), [(7, 5), (14, 10), (28, 20)]),
        ((1, 7, 8), [(7, 8)]),
        ((1, 2, 2), [(2, 2)]),
    ],
)
def test_sides_are_halved_while_they_are_even_and_no_half_is_below_four(
    shape: tuple[int, ...], sides: list[tuple[int, int]]
) -> None:
    assert resolutions(shape) == sides


@pytest.mark.parametrize(
    ("fade", "stable", "schedule"),
    [
        (4, 2, [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1.25, 1.5, 1.75, 2, 2, 2]),
        (0, 3, [0, 0, 0, 1, 1, 1, 2, 2]),
        (2, 0, [0, 0.5, 1, 1.5, 2, 2]),
        (0, 0, [2, 2]),
    ],
)
def test_the_resolution_is_a_function_of_the_step(fade: int, stable: int, schedule: list[float]) -> None:
    grown = model(fade, stable)
    assert [grown.resolution_at(step) for step in range(len(schedule))] == schedule
    assert grown.steps_to_grow() == schedule.index(2)


@pytest.mark.parametrize("kind", ["unit", "real"])
def test_samples_between_two_resolutions_blend_those_of_the_two(kind: str) -> None:
    """At alpha = 0 the enlarged output of the lower one, at alpha = 1 the new block alone."""
    generator = model(kind=kind)
    resolution, noise = generator.net.resolution, generator.noise(6)

    def at(place: float) -> Tensor:
        resolution.grow(place)
        return generator.generate(noise).detach()

    for lower in (0, 1):
        low, high = at(lower), at(lower + 1)
        cells = low[..., :: 4 >> lower, :: 4 >> lower]
        assert torch.equal(low, cells.repeat_interleave(4 >> lower, 2).repeat_interleave(4 >> lower, 3))
        assert not torch.allclose(low, high)
        for alpha in (0.125, 0.5, 0.875):  # exact in binary
            torch.testing.assert_close(at(lower + alpha), (1 - alpha) * low + alpha * high, rtol=0, atol=1e-15)
    assert (float(low.min()) >= 0 and float(low.max()) <= 1) == (kind == "unit")


def test_a_network_at_a_lower_resolution_is_the_network_of_smaller_pictures() -> None:
    """With the same weights: neither the blocks above nor the pixels within a cell have any influence."""
    decoder, encoder = Decoder(SHAPE, 2, 2, 5, nn.Identity).double(), Encoder(SHAPE, 2, 2, 3, "leaky_relu").double()
    z, x = torch.randn(6, 5).double(), pictures()
    for place, side in ((0, 4), (1, 8)):
        times = 2 - place
        small = Decoder((1, side, side), 2 << times, 2, 5, nn.Identity).double()
        small.load_state_dict({name: decoder.state_dict()[name] for name in small.state_dict()})
        for each in (decoder, small):
            each.resolution.grow(place)
        assert torch.equal(decoder(z), enlarged(small(z), times))
        reader = Encoder((1, side, side), 2 << times, 2, 3, "leaky_relu").double()
        reader.load_state_dict({name: encoder.state_dict()[name] for name in reader.state_dict()})
        for each in (encoder, reader):
            each.resolution.grow(place)
        assert torch.equal(encoder(x), reader(reduced(x, times)))


def test_a_critic_between_two_resolutions_blends_its_features() -> None:
    encoder, x = Encoder(SHAPE, 2, 2, 1, "relu").double(), pictures()
    encoder.resolution.grow(1.25)
    old, new = encoder.features[1](reduced(x, 1)), encoder.blocks[1](encoder.features[2](x))
    expected = encoder.head(encoder.blocks[0](0.75 * old + 0.25 * new))
    torch.testing.assert_close(encoder(x), expected, rtol=0, atol=1e-12)


def test_examples_are_blended_as_samples_are() -> None:
    x, resolution = pictures(), Resolution(2, 2)
    assert torch.equal(resolution.shown(x), x)
    cells = [x.unflatten(3, (-1, k)).unflatten(2, (-1, k)).mean((3, 5)) for k in (4, 2)]
    low, high = (cell.repeat_interleave(k, 2).repeat_interleave(k, 3) for cell, k in zip(cells, (4, 2), strict=True))
    for place, expected in ((0, low), (0.25, 0.75 * low + 0.25 * high), (1, high), (1.5, (high + x) / 2)):
        resolution.grow(place)
        torch.testing.assert_close(resolution.shown(x), expected, rtol=0, atol=1e-15)


def test_noise_is_as_strong_at_every_resolution() -> None:
    """Standard deviation 1 of each pixel that is seen, whatever the resolution; all within a pixel are alike."""
    num, resolution = 2000, Resolution(2, 2)
    x = torch.zeros(num, *SHAPE, dtype=torch.float64)
    for place, alpha in ((0, 1.0), (1, 0.25), (1, 1.0), (2, 0.5), (2, 1.0)):
        resolution.grow(place - 1 + alpha)
        noise, times = resolution.grain(x), 2 - place
        seen, lower = reduced(noise, times), reduced(noise, min(2, times + 1))
        torch.testing.assert_close(enlarged(seen, times), noise)
        for part, variance in ((seen, 1.0), *[(lower, 1 - alpha + alpha / 4)] * (place > 0)):
            error = variance * math.sqrt(2 / lower.numel())  # of what is independent
            assert abs(float(part.square().mean()) - variance) < 4 * error


def test_a_context_beside_the_noise_is_not_normalised() -> None:
    """What the first layer is handed of noise has a mean square of 1, and of a class what it says."""
    told = ProgressiveGAN(Event(SHAPE, "unit"), latent=5, hidden=2, context=Event((), "categorical", 3)).double()
    inputs: list[Tensor] = []
    told.net.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    noise, classes = 7 * told.noise(6), torch.tensor([0, 1, 2, 2, 1, 0])
    torch.testing.assert_close(told.generate(noise, classes), told.generate(noise / 7, classes))
    (z, c), *_ = (each.split([5, 3], 1) for each in inputs)
    torch.testing.assert_close(z.square().mean(1), torch.ones(6).double(), rtol=0, atol=1e-7)
    assert torch.equal(c, torch.eye(3).double()[classes])


@pytest.mark.parametrize(
    ("layer", "fan_in", "apply"),
    [
        (Linear(50, 400), 50, linear),
        (Conv2d(10, 400, 3), 90, partial(conv2d, padding=1)),
        (Linear(50, 400, gain=1), 100, linear),
    ],
)
def test_weights_of_unit_variance_are_scaled_when_they_are_used(
    layer: Linear | Conv2d, fan_in: int, apply: Callable[..., Tensor]
) -> None:
    """By sqrt(2 / fan_in): activations keep their mean square behind a rectifier."""
    weight, num = layer.weight.detach(), layer.weight.numel()
    assert abs(float(weight.mean())) < 4 / math.sqrt(num)
    assert abs(float(weight.var()) - 1) < 4 * math.sqrt(2 / num)
    x = torch.randn(3, layer.weight.shape[1], *[6] * (layer.weight.dim() - 2))
    torch.testing.assert_close(layer(x), apply(x, weight * math.sqrt(2 / fan_in)))


def test_norms_of_pixels_and_deviations_of_batches() -> None:
    x = 5 * torch.randn(7, 3, 4, 4, dtype=torch.float64) + 2
    normed = PixelNorm()(x)
    torch.testing.assert_close(normed.square().mean(1), torch.ones(7, 4, 4).double(), rtol=0, atol=1e-7)
    torch.testing.assert_close(normed / normed[:, :1], x / x[:, :1])
    appended = MinibatchDeviation()(x)
    assert torch.equal(appended[:, :3], x)
    expected = x.std(0, correction=0).mean()
    torch.testing.assert_close(appended[:, 3], expected.expand(7, 4, 4), rtol=0, atol=2e-4)
    published = ((x - x.mean(0)).square().mean(0) + 1e-8).sqrt().mean()
    torch.testing.assert_close(appended[:, 3], (published - 1e-4).expand(7, 4, 4), rtol=0, atol=1e-12)
    alike = x[:1].repeat(8, 1, 1, 1).requires_grad_()
    assert not (deviation := MinibatchDeviation()(alike)[:, 3]).any(), "equal rows do not deviate"
    assert torch.autograd.grad(deviation.sum(), alike)[0].isfinite().all()


def test_what_is_watched_through_a_deviation_of_the_batch_has_an_error_over_batches() -> None:
    """A critic whose output is the deviation of its batch pays the same for every pair of a batch."""
    players, net = game(WGANGP), MinibatchDeviation()
    players.critic = nn.Sequential(net)
    players.critic.forward = lambda x: net(x)[:, -1:, 0, 0]
    batches = [Batch(pictures(), torch.arange(6)) for _ in range(3)]
    watched = [players.watched(batch) for batch in batches]
    assert all(each.shape == (1,) for each in watched)
    assert len({float(each) for each in watched}) == 3
    assert players.critic(batches[0].x).std() == 0


def test_noise_on_what_a_critic_sees_is_that_of_the_resolution() -> None:
    players = game(GAN)
    players.noise = 0.5
    players.model.net.resolution.grow(0)
    x = torch.zeros(500, *SHAPE, dtype=torch.float64)
    seen = reduced(players.seen(x), 2)
    assert abs(float(seen.square().mean()) - 0.25) < 4 * 0.25 * math.sqrt(2 / seen.numel())


def game(kind: Callable[..., Adversarial], accumulate: int = 1, **settings: int) -> Adversarial:
    """A growing model against a critic that grows with it."""
    critic, optimization = Critic("progressive", hidden=2, depth=2), partial(torch.optim.Adam, lr=1e-3)
    return kind(model(**settings), Optimization(optimization, accumulate=accumulate), critic=critic).double()


IDLE = {
    0.0: "blocks.1 blocks.2 pictures.1 pictures.2, blocks.0 blocks.1 features.1 features.2",
    0.25: "blocks.2 pictures.2, blocks.1 features.2",
    0.5: "blocks.2 pictures.2, blocks.1 features.2",
    1.25: "pictures.0, features.0",
    2.0: "pictures.0 pictures.1, features.0 features.1",
}
"""What generator and critic do not use at a resolution; the critic's blocks lead down from the highest."""


@pytest.mark.parametrize("kind", [GAN, WGANGP])
def test_both_players_grow_by_the_number_of_steps_alone(kind: Callable[..., Adversarial]) -> None:
    players, batch = game(kind, accumulate=2), Batch(pictures(), torch.arange(6))
    for step, place in ((0, 0.0), (3, 0.25), (9, 1.25), (4, 0.5), (12, 2.0)):
        players.iteration = 2 * step + 1
        players.on_train_batch_start(batch, 0)
        for player in players.players():
            players.zero_grad()
            players.player_loss(player.name, batch)[0].backward()
            mine = {name: part for name, part in players.named_parameters() if part in {*player.parameters}}
            works = {name for name, part in mine.items() if part.grad is not None and part.grad.any()}
            idle = IDLE[place].split(", ")[player.name == "critic"].split()
            assert mine.keys() - works == {name for name in mine if any(f".{part}." in name for part in idle)}
            assert all(mine[name].grad is None for name in mine.keys() - works), "rather than a gradient of 0"
        assert {float(part) for name, part in players.named_buffers() if "resolution" in name} == {place}
        assert players.watched(batch).shape == (1,), "pairs that share a deviation are not independent"


@pytest.mark.parametrize(("fade", "stable"), [(0, 3), (4, 2), (0, 0)])
def test_samples_are_doubted_until_a_batch_was_of_the_resolution_of_the_data(fade: int, stable: int) -> None:
    for accumulate in (1, 3):
        players = game(WGANGP, accumulate, fade=fade, stable=stable)
        batches = 2 * (fade + stable) * accumulate
        for num in range(1, batches + 3):
            players.iteration = num
            assert bool(players._growth_doubts()) == (num <= batches)


def test_a_critic_of_a_model_that_does_not_grow_sees_all() -> None:
    x = pictures()
    generator = Generator(Event(SHAPE, "unit"), latent=2, hidden=2)
    players = GAN(generator, Optimization(torch.optim.Adam), Critic("progressive", hidden=2, depth=1)).double()
    players.on_train_batch_start(Batch(x, torch.arange(6)), 0)
    x.requires_grad_()
    players.critic(x).sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).all())
    assert players.growth.shown(x) is x
    assert players.doubts() == []


def test_settings_that_cannot_be_are_named() -> None:
    for key, value in (("latent", 1), ("hidden", 1), ("depth", 0), ("fade", -1), ("stable", -1), ("fade", 0.5)):
        with pytest.raises(ValueError, match=rf"`model\.{key}` must be a whole number"):
            ProgressiveGAN(Event(SHAPE, "unit"), **{key: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="model=gan takes tables"):
        ProgressiveGAN(Event((2, 3, 4, 5), "real"))
    with pytest.raises(ValueError, match=r"`objective\.critic\.depth` must be at least 1"):
        Critic("progressive", depth=0).net(Event(SHAPE, "unit"))
    with pytest.raises(ValueError, match=r"`objective\.critic\.network` must be mlp but for pictures"):
        Critic("progressive").net(Event((5,), "unit"))


def test_stopped_before_and_while_it_grows_and_taken_up_a_training_ends_with_the_same_bits(dgmrun: Command) -> None:
    """Before the second resolution is blended in, and while it is."""
    assert dgmrun(*SMALL, "trainer.max_steps=10", "hydra.run.dir=whole") == 0
    assert dgmrun(*SMALL, "trainer.max_steps=3", "hydra.run.dir=parts") == 0
    for steps in (6, 10):
        assert dgmrun("train", "run=parts", f"trainer.max_steps={steps}") == 0
    for name in ("weights", "weights-ema"):
        whole, parts = (load_file(Path(run) / f"{name}.safetensors") for run in ("whole", "parts"))
        assert all(torch.equal(part, parts[key]) for key, part in whole.items())
        assert whole["net.resolution.now"] == 1


def test_samples_are_of_the_resolution_that_was_trained(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert dgmrun(*SMALL, "trainer.max_steps=6", "hydra.run.dir=run", "sample") == 0
    assert "the model grows for 8 batches, and 6 were trained on" in capsys.readouterr().err
    assert load_file("run/weights-ema.safetensors")["net.resolution.now"] == 0.25
    x = np.load("run/samples.npz")["x"]
    assert x.shape[1:] == (1, 8, 8)
