"""The picture of texts and of the words by which they were classified."""

from __future__ import annotations

import pytest

from dgmrun.pictures.drawing import COLOURS, png
from dgmrun.pictures.rationales import LETTERS, LINE, Place, Text, draw, places

TEXTS = [
    Text("predicted good (0.90), label good", True, ["a", "$fine$", "film"], [0.1, 0.97, 0.999], [0, 1, 1]),
    Text("predicted bad (0.50), label good", False, ["so", *["w" * (LETTERS // 2)] * 2], [0.2, 0.3, 0.4], [0, 0, 0]),
    Text("predicted bad (0.50), label bad", True, [], [], []),
]


def test_lines_are_filled_word_by_word() -> None:
    assert places(["aa", "b" * (LETTERS - 3), "c"]) == [Place(0, 0), Place(0, 3), Place(1, 0)]
    assert places([]) == []
    assert places(["a" * (LETTERS + 5), "b"]) == [Place(0, 0), Place(1, 0)]


@pytest.mark.drawn
def test_words_that_were_kept_are_bold_with_their_probabilities_below() -> None:
    picture = draw(TEXTS)
    told = {text.get_text(): text for text in picture.axes[0].texts}
    bold = [word for word, text in told.items() if text.get_weight() == "bold" and not word.startswith("predicted")]
    assert bold == ["$fine$", "film"]
    assert {".97", "1"} <= told.keys()
    assert not {".10", ".20", ".30", ".40"} & told.keys()
    assert len(picture.axes[0].patches) == 2
    assert [told[text.title].get_color() for text in TEXTS] == [COLOURS[2], COLOURS[1], COLOURS[2]]
    low, high = (told[word].get_position()[1] for word in ("$fine$", "so"))
    assert high - low > LINE
    data = {name: list(column) for name, column in picture.data.items()}
    assert data["word"][:3] == ["a", "$fine$", "film"]
    assert data["kept"] == [0, 1, 1, 0, 0, 0]
    assert data["text"] == [0, 0, 0, 1, 1, 1]
    assert png(picture).startswith(b"\x89PNG")
