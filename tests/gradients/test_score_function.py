"""The score-function estimator against enumeration: every pair of samples, weighted by its probability."""

from __future__ import annotations

import torch

from dgmrun.gradients.score_function import score_function


def test_two_samples_are_unbiased_exactly() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, dtype=torch.float64, requires_grad=True)
    f = torch.randn(5, dtype=torch.float64)
    log_q = logits.log_softmax(0)
    (truth,) = torch.autograd.grad((log_q.exp() * f).sum(), logits, retain_graph=True)
    mean = torch.zeros(5, dtype=torch.float64)
    for i in range(5):
        for j in range(5):
            pair = torch.tensor([i, j])
            (gradient,) = torch.autograd.grad(score_function(f[pair], log_q[pair]), logits, retain_graph=True)
            mean += (log_q[i] + log_q[j]).exp().detach() * gradient
    torch.testing.assert_close(mean, truth, rtol=0, atol=1e-12)


def test_a_constant_adds_no_variance() -> None:
    log_q = torch.randn(7, dtype=torch.float64, requires_grad=True)
    score_function(torch.full((7,), 3.0, dtype=torch.float64), log_q).backward()
    assert log_q.grad is not None
    assert (log_q.grad == 0).all()
