"""What is conditioned on as a vector, for every kind of event."""

from __future__ import annotations

import math

import pytest
import torch

from dgmrun.latent.draws import reparameterised
from dgmrun.models import MADE, NADE, VAE, Flow
from dgmrun.nn.context import ContextVector, beside
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded


@pytest.mark.parametrize(
    ("event", "given", "expected"),
    [
        (Event((), "categorical", 3), [2, 0], [[0, 0, 1], [1, 0, 0]]),
        (Event((2,), "categorical", 2), [[0, 1], [1, 1]], [[1, 0, 0, 1], [0, 1, 0, 1]]),
        (Event((1, 1, 2), "levels", 5), [[[[0, 4]]], [[[1, 2]]]], [[0, 1], [0.25, 0.5]]),
        (Event((1,), "levels", 1), [[0]], [[0]]),
        (Event((2,), "counts"), [[0, 1], [3, 7]], [[0, math.log(2)], [math.log(4), math.log(8)]]),
        (Event((), "binary"), [1.0, 0.0], [[1], [0]]),
        (Event((1, 2), "unit"), [[[0.25, 1.0]]], [[0.25, 1.0]]),
        (Event((2,), "real"), [[-3.5, 2.0]], [[-3.5, 2.0]]),
    ],
    ids=lambda value: value.kind if isinstance(value, Event) else "",
)
def test_every_kind_has_its_vector(event: Event, given: list[object], expected: list[list[float]]) -> None:
    vector, like = ContextVector(event), torch.zeros(1, dtype=torch.float64)
    found = vector(torch.tensor(given).to(event.dtype), like)
    assert found is not None
    assert found.dtype == like.dtype
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)
    assert found.shape == (len(given), vector.size)


def test_without_an_event_there_is_none() -> None:
    vector = ContextVector(None)
    assert vector.size == 0
    assert vector(None, torch.zeros(1)) is None


@pytest.mark.parametrize(("event", "given"), [(Event((), "binary"), None), (None, torch.zeros(2))])
def test_a_context_that_is_lacking_or_not_asked_for_is_refused(event: Event | None, given: torch.Tensor | None) -> None:
    with pytest.raises(ValueError, match="a context must be"):
        ContextVector(event)(given, torch.zeros(1))


@pytest.fixture
def captions() -> ContextVector:
    """Vectors of up to four words of five, in double precision."""
    with seeded(0, "captions"):
        return ContextVector(Event((4,), "tokens", 6)).double()


def of(captions: ContextVector, *rows: list[int]) -> torch.Tensor:
    """The vectors of some captions."""
    found: torch.Tensor = captions(torch.tensor(rows), torch.zeros(1, dtype=torch.float64))
    return found


def test_the_order_of_words_and_every_one_of_them_matter(captions: ContextVector) -> None:
    rows = [[1, 2, 0, 0], [2, 1, 0, 0], [1, 2, 2, 0], [1, 0, 0, 0], [1, 2, 3, 4], [1, 2, 3, 5], [0, 0, 0, 0]]
    assert (torch.pdist(of(captions, *rows)) > 1e-3).all()


def test_what_follows_the_end_of_a_caption_does_not(captions: ContextVector) -> None:
    found = of(captions, [3, 0, 0, 0], [3, 0, 5, 1], [0, 0, 0, 0], [0, 4, 0, 2])
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[2], found[3])


def test_a_caption_has_the_vector_that_it_has_alone(captions: ContextVector) -> None:
    rows = [[5, 4, 3, 2], [1, 0, 0, 0], [0, 0, 0, 0]]
    alone = [of(captions, row) for row in rows]
    assert alone[0].shape == (1, captions.size)
    torch.testing.assert_close(of(captions, *rows), torch.cat(alone))


def test_captions_are_read_word_by_word(captions: ContextVector) -> None:
    assert captions.caption is not None
    reader, state = captions.caption.reader, torch.zeros(1, captions.size, dtype=torch.float64)
    cell = torch.nn.GRUCell(reader.input_size, reader.hidden_size, dtype=torch.float64)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in reader.state_dict().items()})
    for word in (2, 5, 0):
        state = cell(captions.caption.words(torch.tensor([word])), state)
    torch.testing.assert_close(of(captions, [2, 5, 0, 0]), state.detach())


@pytest.mark.parametrize(
    ("model", "kind", "settings"),
    [
        (NADE, "binary", {"hidden": 5}),
        (MADE, "levels", {"hidden": [20]}),
        (VAE, "binary", {"latent": [2], "hidden": [20]}),
        (Flow, "real", {"layers": 2}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_models_own_the_words_of_captions_and_learn_their_order(
    model: type, kind: str, settings: dict[str, object]
) -> None:
    told = Event((3,), "tokens", 4)
    with seeded(1, "learn"):
        its = model(Event((2,), kind, 2 if kind == "levels" else None), context=told, **settings)
        c = torch.tensor([[1, 2, 0], [2, 1, 0]]).repeat(32, 1)
        x = torch.tensor([[0, 1], [1, 0]]).repeat(32, 1).to(its.event.dtype)
        x = x + 0.1 * torch.randn(x.shape) if kind == "real" else x

        def loss(c: torch.Tensor) -> torch.Tensor:
            log_p = its.trace(x, reparameterised(1), c).log_w if model is VAE else its.log_prob(x, c)
            return -log_p.mean()

        words = [part for name, part in its.named_parameters() if name.startswith("vector.")]
        optimizer = torch.optim.Adam(its.parameters(), 0.02)
        for _ in range(60):
            optimizer.zero_grad()
            loss(c).backward()
            optimizer.step()
        assert len(words) == 5
        assert all(part.grad is not None and (part.grad != 0).any() for part in words)
        assert loss(c) + 1 < loss(c.flip(0))


def test_a_vector_stands_beside_units_of_every_sample_and_is_a_channel_of_pictures() -> None:
    c = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    z, pictures = torch.zeros(5, 2, 3), torch.zeros(2, 1, 2, 2)
    assert torch.equal(beside(z, c)[..., 3:], c.expand(5, 2, 2))
    assert torch.equal(beside(z, c)[..., :3], z)
    assert torch.equal(beside(pictures, c)[:, 1:], c[:, :, None, None].expand(2, 2, 2, 2))
    assert beside(z, None) is z
