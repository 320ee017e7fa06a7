"""Objects that were there before a training are not looked through in it, and none of its own outlives it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from dgmrun.stages.train import fit
from dgmrun.stages.train.garbage import of_new_objects
from tests.conftest import BINARY, Command


def test_objects_of_before_are_left_alone_until_the_end() -> None:
    with of_new_objects():
        new: list[object] = []
        new.append(new)
        known = gc.get_objects()
        assert len(known) < gc.get_freeze_count()
        assert any(each is new for each in known)
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("further", [[], ["trainer.patience=1", "optimizer.ema=0.9", "schedule=cosine"]])
def test_what_was_trained_is_gone_without_a_search_for_garbage(
    further: list[str], dgmrun: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, where the next training would hold it, with all that is on the GPU."""
    made: list[weakref.ref[Any]] = []
    for name in ("objective", "in_memory"):
        true = getattr(fit, name)

        def known(*given: Any, true: Any = true, **named: Any) -> Any:
            found = true(*given, **named)
            made.append(weakref.ref(found))
            made.extend(map(weakref.ref, getattr(found, "parameters", list)()))
            return found

        monkeypatch.setattr(fit, name, known)
    gc.disable()
    try:
        assert dgmrun(*BINARY, "model=nade", "model.hidden=3", "trainer.max_steps=3", "train", *further) == 0
        left = [found for each in made if (found := each()) is not None]
    finally:
        gc.enable()
    assert len(made) > 4
    assert left == []
