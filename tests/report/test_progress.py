"""Bars say what takes time, on a terminal alone, and of several processes one alone."""

from __future__ import annotations

import logging

import pytest

from dgmrun.protocols.progress import tracked
from dgmrun.report.progress import bar


@pytest.mark.parametrize(
    ("terminal", "level", "is_shown"),
    [("1", logging.INFO, True), ("0", logging.INFO, False), ("1", logging.ERROR, False)],
)
def test_who_shows_a_bar(
    terminal: str, level: int, is_shown: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    log = logging.getLogger("dgmrun")
    before = log.level
    log.setLevel(level)
    with bar("data"):
        assert list(tracked(range(3))) == [0, 1, 2]
    log.setLevel(before)
    said = capsys.readouterr().err
    assert ("data" in said) == is_shown
    assert ("3/3" in said) == is_shown
