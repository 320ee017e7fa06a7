"""Plot of texts with the words by which a model classified them, made by the stage `sample`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

if TYPE_CHECKING:
    from dgmrun.pictures.drawing import Picture

MOST = 16
"""Number of texts to show."""


def figures(model: Any, setup: Setup, count: int) -> dict[str, Picture]:
    """Plots the first test examples with the words that the model kept, its prediction and the true class."""
    from dgmrun.pictures import rationales

    batch = setup.seen(setup.scored("test").rows(slice(min(count, MOST))))
    vocabulary, classes = setup.data.loaded["test"].words, build.classes(setup.config["dataset"])
    assert batch.context is not None
    mask, probability, log_p = model.read(batch.context)
    texts = []
    for row, text in enumerate(batch.context.tolist()):
        numbers = [number for number in text if number]
        best, true = int(log_p[row].argmax()), int(batch.x[row])
        named = [classes[each] if classes else f"class {each}" for each in (best, true)]
        title = f"predicted {named[0]} ({float(log_p[row, best].exp()):.2f}), label {named[1]}"
        words = [vocabulary[number] if vocabulary else str(number) for number in numbers]
        parts = (each[row, : len(words)].tolist() for each in (probability, mask))
        texts.append(rationales.Text(title, best == true, words, *parts))
    return {"rationales": rationales.draw(texts)}
