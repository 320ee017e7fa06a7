"""The enumerated bound against log p(x), and moments of gradients against numbers worked out by hand."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from dgmrun.gradients.exact import bound
from dgmrun.gradients.moments import Moments
from dgmrun.latent.draws import given
from dgmrun.nn.binary import bits
from tests.binary import sbn

X = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def test_the_bound_rises_with_k_and_stays_below_log_p() -> None:
    model = sbn([2, 1])
    z = bits(torch.arange(8), 3).double().unsqueeze(1).expand(-1, 2, -1)
    trace = model.trace(X, given(z.split(model.hidden, -1)))
    log_q, log_p = sum(trace.log_q), torch.logsumexp(sum(trace.log_p), 0)  # type: ignore[arg-type]
    first, *others = (bound(partial(model.trace, X), X, model.hidden, k) for k in (1, 2, 4))
    torch.testing.assert_close(first, (log_q.exp() * trace.log_w).sum(0))  # type: ignore[union-attr]
    for lower, higher in zip((first, *others), (*others, log_p), strict=True):
        assert (lower < higher).all()


def test_the_bound_of_two_samples_is_a_sum_over_pairs() -> None:
    model = sbn([2, 1])
    expected = torch.zeros(2, dtype=torch.float64)
    for one in range(8):
        for other in range(8):
            z = bits(torch.tensor([one, other]), 3).double().unsqueeze(1).expand(-1, 2, -1)
            trace = model.trace(X, given(z.split(model.hidden, -1)))
            chance = sum(trace.log_q).sum(0).exp()  # type: ignore[union-attr]
            expected += (chance * trace.log_w.exp().mean(0).log()).detach()
    torch.testing.assert_close(bound(partial(model.trace, X), X, model.hidden, 2).detach(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_of_four_gradients(dtype: torch.dtype) -> None:
    moments = Moments()
    for g in ([1.0, 0.0], [3.0, 0.0], [2.0, 1.0], [2.0, 5.0]):
        moments.add(torch.tensor(g, dtype=dtype))
    variance, error = moments.variance()  # of the pairs: (4 + 0) / 2 / 2 = 1, (0 + 16) / 2 / 2 = 4
    assert (variance, error) == pytest.approx((2.5, 1.5))
    assert moments.length() == pytest.approx((2.0**2 + 1.5**2) ** 0.5)
    assert moments.noise() == pytest.approx((2.5 * 2 / 4) ** 0.5)
    assert moments.signal_to_noise() == pytest.approx(((6.25 - 1.25) / 5) ** 0.5)


def test_moments_of_normal_gradients() -> None:
    moments, scale = Moments(), torch.tensor([0.5, 2.0, 1.0])
    for _ in range(4000):
        moments.add(torch.tensor([3.0, 0.0, 4.0]) + scale * torch.randn(3))
    variance, error = moments.variance()
    truth = float(scale.square().mean())
    assert abs(variance - truth) < 4 * error
    assert error == pytest.approx(float((2 * scale**4).sum().sqrt()) / 3 / 2000**0.5, rel=0.15)
    assert moments.signal_to_noise() == pytest.approx(5 / (3 * truth) ** 0.5, rel=0.05)
