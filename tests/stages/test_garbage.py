"""Objects that were there before a training are not looked through in it, and are again after it."""

from __future__ import annotations

import gc

from dgmrun.stages.train.garbage import of_new_objects


def test_objects_of_before_are_left_alone_until_the_end() -> None:
    with of_new_objects():
        new: list[object] = []
        new.append(new)
        known = gc.get_objects()
        assert len(known) < gc.get_freeze_count()
        assert any(each is new for each in known)
    assert gc.get_freeze_count() == 0
