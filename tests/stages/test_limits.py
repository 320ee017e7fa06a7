"""What ends a training: signals, of which only a second Ctrl-C ends it at once."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from dgmrun.stages.train import limits
from dgmrun.stages.train.limits import Limits


@pytest.mark.parametrize(
    ("numbers", "ends_at_once"),
    [
        ((signal.SIGTERM, signal.SIGTERM, signal.SIGUSR2), False),  # schedulers repeat theirs
        ((signal.SIGUSR2, signal.SIGINT), True),
        ((signal.SIGINT, signal.SIGINT), True),
    ],
)
def test_only_a_second_interrupt_ends_at_once(numbers: tuple[Any, ...], ends_at_once: bool) -> None:
    clock, first, *others = Limits(10, None), *numbers
    clock._interrupt(first, None)
    assert clock._wish() == "interrupted"
    clock.interrupted -= 2 * limits.IMPATIENT
    if ends_at_once:
        with pytest.raises(KeyboardInterrupt):
            clock._interrupt(others[0], None)
    else:
        for number in others:
            clock._interrupt(number, None)
