"""Samples have the shape of an example, and the law of the model, whichever way they are drawn."""

from __future__ import annotations

import pytest
import torch

from dgmrun.estimators import enumeration, sampling
from dgmrun.models.diffusion import Diffusion
from dgmrun.models.rbm import RBM
from dgmrun.protocols.models import Sampler, fits
from dgmrun.protocols.values import Event
from dgmrun.workbench.scoring import of_samples
from dgmrun.workbench.setup import Setup

KEYS = "`sample.sampler` and `sample.steps`"


@pytest.mark.parametrize("exact_bits", [0, 23])
def test_samples_are_examples_of_the_model(exact_bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Means of 20,000 samples against enumeration, 4.5 standard errors."""
    monkeypatch.setattr(sampling, "AUTOMATIC_BITS", exact_bits)
    torch.manual_seed(0)
    rbm = RBM(Event((1, 2, 3), "binary"), hidden=4, weight_std=0.7).double().requires_grad_(False)
    fair = torch.stack([torch.zeros(1, 2, 3), torch.ones(1, 2, 3)])
    x = sampling.samples(rbm, 20_000, fair, burn_in=50)
    assert x.shape == (20_000, 1, 2, 3)
    mass = torch.softmax(enumeration.log_masses(rbm), 0)
    states = ((torch.arange(16)[:, None] >> torch.arange(4)) & 1).double()
    mean = mass @ torch.sigmoid(rbm.visible_logits(states))
    error = (mean * (1 - mean) / len(x)).sqrt()
    assert ((x.flatten(1).mean(0) - mean).abs() < 4.5 * error).all()


def test_a_chain_is_a_sampler_where_one_is_asked_for_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fits(sampling.Sampled, Sampler)
    rbm, x = RBM(Event((3,), "binary"), hidden=2), torch.zeros(4, 3)
    sampled = sampling.Sampled(rbm, x, burn_in=5)
    assert (sampled.event, sampled.context) == (rbm.event, None)
    assert of_samples(sampled, None) == [], "it is enumerated"
    monkeypatch.setattr(sampling, "AUTOMATIC_BITS", 0)
    assert "chains of 5 steps from its base distribution" in of_samples(sampled, None)[0]
    torch.manual_seed(1)
    drawn = sampled.sample(6)
    torch.manual_seed(1)
    assert torch.equal(drawn, sampling.samples(rbm, 6, x, 5))


def test_samples_that_are_drawn_faster_say_so() -> None:
    diffusion = Diffusion(Event((2,), "real"), steps=10, width=4, depth=1)
    for sampler, steps, told in (("ancestral", None, None), ("ddim", None, "ddim, in all"), ("ddim", 5, "ddim, in 5")):
        setup = Setup({"sample": {"sampler": sampler, "steps": steps}})
        found = setup.shortcut(diffusion)
        assert found == (told and f"{told} steps")
        assert of_samples(diffusion, found) == ([] if told is None else [f"samples are {found}: see {KEYS}"])
