r"""Accuracy of a classifier, or of a model of x given a class, which classifies by Bayes' rule.

.. math:: \hat y(x) = \arg\max_y \log p(y \mid x), \qquad p(y \mid x) \propto p(x \mid y)\, p(y)

where p(y) is the frequency of the class in the training split. A model that reads some words of a text predicts by
p(y | x, z) of these, for one mask z.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.density import EXAMPLES, in_double, log_density
from dgmrun.estimators.shares import of_blocks
from dgmrun.protocols.intervals import binomial_interval
from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.models import TractableDensity, context_of
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.readers import Reader
from dgmrun.protocols.values import Batch, Estimate, Evidence


@dataclass(frozen=True)
class Accuracy(FidelityMethod):
    """Share of examples whose true class has the largest p(y | x), with an interval by the binomial law.

    Of equal ones the first class counts. It costs a pass for each class; of a model of x given a class, the diagnostic
    `log_posterior` is the mean of log p(y | x) of the true classes, in nats, which a classifier has as its likelihood.

    Args:
        double: whether in double precision, as likelihoods are, or in the model's own; see `Exact`.
    """

    requires: ClassVar[Any] = TractableDensity | Reader
    double: bool = True

    def check(self, model: Any) -> None:
        """Raises ValueError unless the model is a classifier, or one of x given one class."""
        told = context_of(model)
        if not (self.is_automatic(model) or (told is not None and told.is_class)):
            raise ValueError(
                "`fidelity.methods` can have accuracy only for a model of one class given something, "
                "or of something given one class: `given` of x or labels makes one, where the dataset has classes"
            )

    def is_automatic(self, model: Any) -> bool:
        """Returns whether the model is a classifier: conditional, with a single binary or categorical output."""
        return context_of(model) is not None and bool(model.event.is_class)

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns 1 for each example classified correctly, else 0, and their mean."""
        is_classifier = self.is_automatic(model)
        x, _, context = evidence.batch
        y = x if is_classifier else context
        assert y is not None
        log_p = self._read(model, evidence.batch) if isinstance(model, Reader) else self._each(model, evidence.batch)
        if not is_classifier:
            assert evidence.class_counts is not None
            log_p = (log_p + evidence.class_counts.to(log_p).log()).log_softmax(1)
        true = y.reshape(len(y), 1).long()
        hits = log_p.argmax(1).eq(true[:, 0]).double()
        share, num = float(hits.mean()), len(hits)
        error = math.sqrt(share * (1 - share) / num)
        interval = binomial_interval(int(hits.sum()), num)
        further = {} if is_classifier else _log_posterior(log_p.gather(1, true)[:, 0])
        estimate = Estimate("accuracy", share, error, interval, "estimate", "none", samples=num)
        return hits, replace(estimate, settings=asdict(self), diagnostics=further)

    def _read(self, model: Any, batch: Batch) -> Tensor:
        """log p(y | x, z) of every class, [examples, classes]."""
        same, whole = in_double(model, batch) if self.double else (model, batch)
        return torch.cat(of_blocks(lambda block: same.read(block.context)[-1].double(), whole, EXAMPLES))

    def _each(self, model: Any, batch: Batch) -> Tensor:
        """log p(y | x) of every class, or log p(x | y) given it, [examples, classes]."""
        classes = range((model.event if self.is_automatic(model) else model.context).size or 2)
        return torch.stack([self._log_p(model, batch, one) for one in tracked(classes)], 1)

    def _log_p(self, model: Any, batch: Batch, one: int) -> Tensor:
        """log p(y | x) of a class, or log p(x | y) given it, [batch]."""
        x, context = batch.x, batch.context
        assert context is not None
        is_classifier = self.is_automatic(model)
        asked = {"x": torch.full_like(x, one)} if is_classifier else {"context": torch.full_like(context, one)}
        return log_density(model, batch._replace(**asked), self.double).double()


def _log_posterior(log_p: Tensor) -> dict[str, float | None]:
    """The mean of log p(y | x) and its standard error; None if the class of an example was in no training example."""
    mean, error = float(log_p.mean()), float(log_p.std() / math.sqrt(len(log_p)))
    names = ("log_posterior", "standard_error_log_posterior")
    return dict(zip(names, (mean, error) if math.isfinite(error) else (None, None), strict=True))
