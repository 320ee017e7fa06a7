r"""Distillation by the reverse Kullback-Leibler divergence KL(q||p), on samples of the student q.

.. math:: \mathrm{KL}(q \Vert p) = E_q[\log q(x) - \log f(x)] + \log Z

If samples of q are differentiable in its parameters (`Pathwise`), so is the estimate, whose variance is then far less
than that of the score function; the teacher must be differentiable in x.

References:
    Papamakarios (2015), Distilling model knowledge, https://arxiv.org/abs/1510.02437, chapter 4.
    Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning.
    van den Oord, Li, Babuschkin et al. (2018), Parallel WaveNet: fast high-fidelity speech synthesis,
    https://arxiv.org/abs/1711.10433, equation 6: the gradient through samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dgmrun.gradients.score_function import leave_one_out, score_function
from dgmrun.objectives.distillation.base import Distillation
from dgmrun.protocols.samplers import Pathwise
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch


class DistillVariational(Distillation):
    """KL(q||p): needs no samples of the teacher, but is mode-seeking; a mode that the student misses stays missed."""

    def begin(self, data: Source) -> None:
        """Refuses a batch size of 1 per process: the data determine only the number of samples of the student.

        Gradients through samples have no baseline, and need no two.

        Raises:
            ValueError: the batch size is too small for the leave-one-out baseline.
        """
        if data.batch_size // data.world_size < 2 and not isinstance(self.model, Pathwise):
            raise ValueError(f"`dataset.batch_size` must be at least 2 for each process, but is {data.batch_size}")

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns KL(q||p) - log Z in nats, an upper bound on -log Z, with its pathwise or score-function gradient."""
        if isinstance(self.model, Pathwise):
            x, log_q = self.model.rsample_and_log_prob(len(batch.x), batch.context)
            with torch.autocast(x.device.type, enabled=False):
                return (log_q - self.teacher.log_density(x, batch.context)).mean(), {}
        drawn = batch if len(batch.x) > 1 else batch.rows(torch.zeros(2, dtype=torch.long))
        drawn = drawn._replace(x=self.model.sample(len(drawn.x), drawn.context))  # type: ignore[operator]
        log_q = self.model.log_prob(drawn.x, drawn.context)  # type: ignore[operator]
        kl = log_q.detach() - self.log_f(drawn)
        surrogate = score_function((kl - leave_one_out(kl)).unsqueeze(-1), log_q.unsqueeze(-1))
        return surrogate + (kl.mean() - surrogate).detach(), {}
