"""The user's own lines of text, well formed and not."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dgmrun.data.check import check
from dgmrun.data.splits import Splits
from dgmrun.datasets import text
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event
from tests.conftest import STRINGS

Command = Callable[..., int]
SETTINGS: dict[str, Any] = {"tokens": "characters", "length": None, "empty": None}
LINES = [f"{'ab' * (number % 4)}c{number}" for number in range(20)]


def written(place: Path, *lines: str, end: str = "\n") -> str:
    place.write_bytes("".join(line + end for line in lines).encode())
    return str(place)


def spelled(splits: Splits, path: str, **settings: Any) -> dict[str, list[str]]:
    spell = text.language(path, **{**SETTINGS, **settings}).spell
    return {name: [spell(row[row > 0].tolist()) for row in split.x] for name, split in splits.items()}


def loaded(path: str, **settings: Any) -> Splits:
    return text.load(Path(), path, **{**SETTINGS, **settings})


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_line_of_a_file_is_in_one_split_and_spelled_as_it_was(end: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", *LINES, end=end)
    splits = loaded(path)
    assert [len(split.x) for split in splits.values()] == [16, 2, 2]
    assert sorted(line for lines in spelled(splits, path).values() for line in lines) == sorted(LINES)
    event = text.event(path, **SETTINGS)
    assert event == Event((max(map(len, LINES)) + 1,), "tokens", 1 + len({*"".join(LINES)}))
    assert [*splits["train"].words] == ["", *sorted({*"".join(LINES)})]
    check(splits, event)


def test_bytes_may_be_gzipped_begin_with_a_mark_and_lack_the_last_end_of_line(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.txt", "é\u2028ß", "b c", "dd")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + Path(plain).read_bytes()[:-1]))
    first, second = (spelled(loaded(path), path) for path in (plain, str(tmp_path / "b.gz")))
    assert first == second
    assert {line for lines in first.values() for line in lines} == {"é\u2028ß", "b c", "dd"}


def test_words_and_atoms_are_tokens_too(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "a bc", "bc  a", "d\ta", "d")
    splits = loaded(path, tokens="words")
    assert text.event(path, **{**SETTINGS, "tokens": "words"}) == Event((3,), "tokens", 4)
    found = [line for lines in spelled(splits, path, tokens="words").values() for line in lines]
    assert sorted(found) == ["a bc", "bc a", "d", "d a"]
    path = written(tmp_path / "b.smi", "CCl", "BrC", "C[C@H](O)N")
    assert text.event(path, **{**SETTINGS, "tokens": "smiles"}) == Event((7,), "tokens", 9)


def test_a_folder_has_a_file_for_each_split_and_what_train_lacks_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path / "Train.txt", *"abab")
    written(tmp_path / "test_set.txt", "ax", "x\x1b", "b")
    written(tmp_path / "README", "no data")
    with caplog.at_level(logging.INFO, "dgmrun"):
        splits = loaded(str(tmp_path))
    assert [len(split.x) for split in splits.values()] == [3, 1, 3]
    assert spelled(splits, str(tmp_path))["test"] == ["ax", "x\x1b", "b"]
    assert "3 train, 1 valid, 3 test; 4 different characters, at most 2 a line; split by its files, valid cut" in (
        caplog.text
    )
    assert "2 tokens in 2 strings of test that train lacks: ? x" in caplog.text
    written(tmp_path / "dev.txt", "b")
    assert [len(split.x) for split in loaded(str(tmp_path)).values()] == [4, 1, 3]


def test_empty_lines_are_refused_or_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "a.txt", "a", "", "b", "c", "")
    with pytest.raises(Mistake, match=r"must be drop where a line is empty, as line 2 of .*a.txt is, as 1 other, but"):
        loaded(path)
    with caplog.at_level(logging.INFO, "dgmrun"):
        assert sum(len(split.x) for split in loaded(path, empty="drop").values()) == 3
    assert "2 empty lines left out" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": "chars"}, r"`dataset.tokens` must be characters or words or smiles, but is chars \(did you mean"),
        ({"empty": "mean"}, r"`dataset.empty` must be drop or null, but is mean"),
        ({"length": 5}, r"`dataset.length` must be null or a whole number of at least 7 for line 2 of .*a.txt, of 6 c"),
        (
            {"tokens": "smiles"},
            r"`dataset.path` must be strings of these tokens, but line 2 of .*: it has 'a', which is",
        ),
    ],
)
def test_settings_that_do_not_suit_the_lines(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "c", "abcdef", "CC")
    with pytest.raises(Mistake, match=message):
        loaded(path, **settings)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"must be a file or a folder, but there is no .*data"),
        ({"data/a.txt": b"a\nb\nc\n"}, r"a folder with train.txt and test.txt, but .*data has none for train and test"),
        ({"data/train.txt": b"a\nb\n", "data/train.gz": b"a"}, r"one file for train, but .* train.gz and train.txt"),
        ({"data": b"a\nb\n"}, r"must hold at least 3 lines in .*data, but has 2"),
        ({"data": b"a\nb\xe9\nc\n"}, r"must be text in UTF-8, but line 2 of .*data is not"),
        ({"data": b"\x1f\x8bno"}, r"must be readable, but .*data is not"),
    ],
)
def test_files_that_are_no_text(files: dict[str, bytes], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Mistake, match=message):
        loaded(str(tmp_path / "data"))


def test_lines_that_no_memory_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MOST", 20)
    with pytest.raises(
        Mistake, match=r"at most 20 places, .* each of 3 lines, but line 2 of .*a.txt has 6 char"
    ) as caught:
        loaded(written(tmp_path / "a.txt", "c", "abcdef", "CC"))
    assert caught.value.hint is not None


def test_a_file_that_changes_under_a_run_is_refused_in_one_line(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "lines.txt", *LINES)
    data = ("dataset=text", f"dataset.path={path}", "dataset.batch_size=4", "trainer.max_steps=1")
    assert dgmrun(*STRINGS, *data, "train", "hydra.run.dir=run") == 0
    for more, said in (
        ("longer than all before", "`dataset.event.shape` must be [23] as in the train split, but is [10]"),
        ("xyz", "`dataset.event` must hold every value of the train split, such as 16, but is tokens"),
        ("c", "`dataset` of a run must stay what it was, but the train split has another sha256"),
    ):
        written(tmp_path / "lines.txt", *LINES, more)
        text._understood.cache_clear()
        capsys.readouterr()
        assert dgmrun(STRINGS[0], "likelihood", "run=run") == 2
        error, _, hint = capsys.readouterr().err.strip().splitlines()[-3:]
        assert said in error
        assert hint.startswith("hint: ")


def test_terminals_of_a_grammar_are_tokens_by_which_it_derives_the_lines(dgmrun: Command, tmp_path: Path) -> None:
    """Numbered as the grammar has them, and not sorted, so that its productions are of the right tokens."""
    path = written(tmp_path / "a.txt", *("y" * n + "sin(x)" + "x" * n for n in range(1, 12)))
    rules = "S -> y S x | y sin(x) x"
    splits = loaded(path, grammar=rules)
    assert splits["train"].words == ("", "y", "x", "sin(x)")
    assert text.event(path, **SETTINGS, grammar=rules).size == 4
    language = text.language(path, **SETTINGS, grammar=rules)
    assert language.is_valid is not None
    assert [language.is_valid(string) for string in ("ysin(x)x", "ysin(x)", "z")] == [True, False, False]
    grammar = ["model=grammar_vae", "dataset=text", f"dataset.path={path}", f"dataset.grammar='{rules}'"]
    small = ["model.hidden=4", "dataset.batch_size=4", "trainer.max_steps=2", f"hydra.run.dir={tmp_path / 'run'}"]
    assert dgmrun(*grammar, *small, "train", "sample", "sample.count=4") == 0
    for line in (tmp_path / "run" / "samples.txt").read_text().splitlines():
        assert language.is_valid(line)
    with pytest.raises(Mistake, match=r"`dataset.path` must be strings .*line 1 of .*a.txt is not: "):
        loaded(written(tmp_path / "a.txt", "yz", "y", "x"), grammar=rules)
