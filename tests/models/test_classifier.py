"""A classifier: its classes sum to 1, its features are the layer below them."""

from __future__ import annotations

import pytest
import torch

from dgmrun.models.classifier import Classifier
from dgmrun.protocols.features import Featured
from dgmrun.protocols.models import TractableDensity, fits, takes_context
from dgmrun.protocols.values import Event

CLASS = Event((), "categorical", 3)
OF = [
    (Event((4,), "real"), torch.randn(5, 4)),
    (Event((1, 6, 5), "levels", 4), torch.randint(4, (5, 1, 6, 5))),
    (Event((3,), "categorical", 4), torch.randint(4, (5, 3))),
    (Event((3,), "tokens", 4), torch.randint(4, (5, 3))),
]


@pytest.mark.parametrize(("context", "x"), OF, ids=lambda part: getattr(part, "kind", ""))
def test_classes_sum_to_1_and_rest_on_the_features(context: Event, x: torch.Tensor) -> None:
    model = Classifier(CLASS, context, hidden=8, features=6)
    classes = torch.arange(3)
    log_p = torch.stack([model.log_prob(one.expand(5), x) for one in classes], 1)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(5))
    assert model.features(x).shape == (5, 6)
    torch.testing.assert_close(model.output(model.features(x)).log_softmax(1), log_p)
    assert fits(Classifier, Featured)
    assert fits(Classifier, TractableDensity)
    assert takes_context(Classifier) == (True, True)


def test_convolutions_are_of_pictures() -> None:
    picture = Event((1, 8, 6), "unit")
    model = Classifier(CLASS, picture, network="convolutional", hidden=2, depth=2, features=6)
    assert model.features(torch.rand(5, 1, 8, 6)).shape == (5, 6)
    with pytest.raises(ValueError, match=r"`model\.network` must be mlp but for pictures"):
        Classifier(CLASS, Event((4,), "real"), network="convolutional")


def test_samples_have_the_frequencies_of_the_classes() -> None:
    model = Classifier(Event((1,), "binary"), Event((2,), "real"), hidden=4, features=3)
    torch.nn.init.normal_(model.output.weight, std=3.0)
    x = torch.randn(1, 2).expand(4000, 2)
    p = float(model.log_prob(torch.ones(1, 1), x[:1]).exp().detach())
    drawn = model.sample(4000, x)
    assert (drawn.shape, drawn.dtype) == ((4000, 1), torch.float32)
    assert abs(float(drawn.mean()) - p) < 4 * (p * (1 - p) / 4000) ** 0.5


def test_what_it_cannot_classify_is_refused() -> None:
    told = r"`given` must be x, and `dataset.labels` one class, or one bit, for a classifier"
    with pytest.raises(
        ValueError, match=rf"{told}, but what it is to predict is \[2\] of kind categorical and size 3$"
    ):
        Classifier(Event((2,), "categorical", 3), Event((4,), "real"))
    with pytest.raises(ValueError, match=r"`model\.features` must be a whole number of at least 1, but is 0"):
        Classifier(CLASS, Event((4,), "real"), features=0)
