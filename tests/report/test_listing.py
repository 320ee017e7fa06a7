"""Samples of strings, as lines of text and as a picture of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from dgmrun.pictures import listing
from tests.conftest import STRINGS

Command = Callable[..., int]


def test_strings_stand_whole_beside_each_other_in_the_numbers_and_cut_in_the_picture() -> None:
    long, odd = "x" * 200, "a\x1b[31m"
    figure = listing.draw({"data": [long, odd], "samples": [""]})
    assert figure.data == {"data": [long, odd], "samples": ["", ""]}
    drawn = [text.get_text() for text in figure.axes[0].texts]
    room = listing.LETTERS
    assert drawn == ["data", f"{'x' * room}\n{'x' * (room - 4)} ...", "a?[31m", "samples", ""]


@pytest.mark.drawn
def test_samples_can_be_read(dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'ab ' * (number % 4)}c" for number in range(20)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    data = ("dataset=text", "dataset.path=a.txt", "dataset.tokens=words", "dataset.batch_size=4")
    words = ("trainer.max_steps=2", "sample.count=7", "train", "sample", "hydra.run.dir=run")
    assert dgmrun(*STRINGS, *data, *words) == 0
    read = (tmp_path / "run" / "samples.txt").read_text().split("\n")[:-1]
    assert len(read) == 7
    assert {word for line in read for word in line.split(" ")} <= {"ab", "c", ""}
    with (tmp_path / "run" / "figures" / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["samples"] for row in rows] == read
    assert {row["data"] for row in rows} <= {*lines, ""}
    said = "".join(capsys.readouterr())
    assert all(f"sample      {line}" in said for line in read[:5])
