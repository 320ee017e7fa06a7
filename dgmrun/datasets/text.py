"""Your own lines of text: `dataset=text dataset.path=F`, one string a line, UTF-8, gzipped or not.

F is one file, of whose lines a permutation, the same for every run, is cut into 80 % train and 10 % each of valid and
test; or a folder with a file for each split, named for it in any usual spelling (train.txt, dev.txt.gz, test.txt, ...),
of which valid alone may be lacking and is then cut from the lines of train.

Tokens are characters; or `words`, between white space of whatever width; or those of `smiles`, as dataset=smiles has
them, numbered from 1 in their sorted order; or the terminals of a grammar, as they appear there, by which
`model=grammar_vae` has productions. 0 is the end of a string. The vocabulary is that of all splits, so that p is a
density over all of them; tokens that no training line has are logged. A line is never cut: a string has as many places
as the longest line has tokens, and one for its end, or `dataset.length`, if that is enough for every line. Empty lines
are refused, or left out by `dataset.empty=drop`. What is understood is logged in one line.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import torch

from dgmrun.data import molecules, strings
from dgmrun.data.splits import SPLITS, Splits, places, split_named, without_valid
from dgmrun.errors import Mistake, nearest, printable
from dgmrun.nn.grammar import Grammar
from dgmrun.protocols.language import Language
from dgmrun.protocols.text import counted
from dgmrun.protocols.values import Event
from dgmrun.run.files import is_hidden

log = logging.getLogger("dgmrun")
MOST = 2**31
"""Most places of all strings together: 16 GiB."""
SHORTER = "awk 'length < 1000' FILE > OTHER leaves long lines out"


class Line(NamedTuple):
    """A line of a file, counted from 1, as its tokens."""

    file: Path
    number: int
    tokens: Sequence[str]

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"line {self.number} of {self.file}"


class Read(NamedTuple):
    """Lines by split, the sorted tokens of all of them, the longest line, and what was understood."""

    lines: Mapping[str, Sequence[Line]]
    tokens: Sequence[str]
    longest: Line
    understood: Sequence[str]


class Tokens(NamedTuple):
    """Tokens of a line, and what is between them where they are joined to a line again."""

    of: Callable[[str], Sequence[str]]
    between: str = ""


TOKENS = {"characters": Tokens(str), "words": Tokens(str.split, " "), "smiles": Tokens(molecules.tokens)}


def load(
    data_dir: Path, path: str, tokens: str, length: int | None, empty: str | None, grammar: str | None = None
) -> Splits:
    """Loads x [N, length], tokens by number.

    Args:
        data_dir: unused.
        path: path of the file or folder.
        tokens: what a token is: `characters`, `words` or `smiles`.
        length: places of a string, its end included; None for as many as the longest line asks for.
        empty: `drop` to leave empty lines out; None to refuse them.
        grammar: rules, a line each, whose terminals are the tokens, numbered as they appear; see `dgmrun.nn.grammar`.

    Raises:
        Mistake: a setting is invalid, or a file cannot be read, is not UTF-8 or has a line that is no such string.
    """
    shape, read = event(path, tokens, length, empty, grammar).shape, _read(path, tokens, empty, grammar)
    sizes = ", ".join(f"{len(lines)} {split}" for split, lines in read.lines.items())
    of = tokens if grammar is None else "terminals"
    kinds = f"{len(read.tokens)} different {of}, at most {len(read.longest.tokens)} a line"
    log.info("data        %s: %s; %s; %s", printable(path), sizes, kinds, "; ".join(read.understood))
    every = {split: [line.tokens for line in lines] for split, lines in read.lines.items()}
    return strings.numbered(printable(path), every, read.tokens, shape[0])


def event(path: str, tokens: str, length: int | None, empty: str | None, grammar: str | None = None) -> Event:
    """Returns the event of a line.

    Raises:
        Mistake: as for `load`.
    """
    read = _read(path, tokens, empty, grammar)
    least = len(read.longest.tokens) + 1
    if length is not None and (type(length) is not int or length < least):
        must = f"`dataset.length` must be null or a whole number of at least {least}"
        raise Mistake(
            f"{must} for {read.longest.place}, of {least - 1} {tokens} and an end, but is {length}",
            f"dataset.length={least} holds every line; {SHORTER}",
        )
    lines = sum(map(len, read.lines.values()))
    if lines * (length or least) > MOST:
        must = f"`dataset.path` must hold at most {MOST:,} places, those of the longest line for each of {lines} lines"
        raise Mistake(f"{must}, but {read.longest.place} has {least - 1} {tokens}", SHORTER)
    return Event((length or least,), "tokens", len(read.tokens) + 1)


def language(path: str, tokens: str, length: int | None, empty: str | None, grammar: str | None = None) -> Language:
    """Returns how lines are spelled; of molecules and of a grammar, also which strings are some."""
    if grammar is not None:
        return _parsed(grammar).language()
    words = ("", *_read(path, tokens, empty, None).tokens)
    if tokens == "smiles":
        return molecules.language(words)
    return Language(lambda numbers: TOKENS[tokens].between.join(words[number] for number in numbers))


@lru_cache(maxsize=1)
def _parsed(grammar: str) -> Grammar:
    return Grammar(grammar)


def _read(name: str, tokens: str, empty: str | None, grammar: str | None) -> Read:
    for key, value, allowed in (("tokens", tokens, [*TOKENS]), ("empty", empty, ["drop", None])):
        if value not in allowed:
            words = ["null" if word is None else word for word in allowed]
            near = nearest(str(value), words)
            raise Mistake(f"`dataset.{key}` must be {' or '.join(words)}, but is {value}{near}")
    path = Path(name).expanduser()
    files = _files(path)
    changed = tuple(file.stat().st_mtime_ns for file in files.values())
    return _understood(tuple(files.items()), changed, tokens, empty, grammar)


def _files(path: Path) -> dict[str, Path]:
    """Returns the file of each split, or one under the name of all.

    Raises:
        Mistake: there is none, a split has two, or train or test has none.
    """
    if path.is_file():
        return {"all": path}
    if not path.is_dir():
        raise Mistake(f"`dataset.path` must be a file or a folder, but there is no {path}", "dataset.path=FILE")
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        split = split_named(file.name.partition(".")[0])
        if split is None or is_hidden(file.name) or not file.is_file():
            continue
        if split in found:
            raise Mistake(
                f"`dataset.path` must have one file for {split}, but {path} has {found[split].name} and {file.name}"
            )
        found[split] = file
    lacking = [split for split in ("train", "test") if split not in found]
    if lacking:
        must = "`dataset.path` must be a file, or a folder with train.txt and test.txt"
        cure = f"cat {quote(str(path))}/* > FILE joins all lines, of which dataset.path=FILE cuts splits"
        raise Mistake(f"{must}, but {path} has none for {' and '.join(lacking)}", cure)
    return {split: found[split] for split in SPLITS if split in found}


@lru_cache(maxsize=1)
def _understood(
    files: tuple[tuple[str, Path], ...], changed: tuple[int, ...], tokens: str, empty: str | None, grammar: str | None
) -> Read:
    """Reads the files; the last are kept, as event, strings and their language are asked for one after another."""
    of = TOKENS[tokens].of if grammar is None else _parsed(grammar).symbols
    every = {split: _lines(file, of) for split, file in files}
    parts = {split: [line for line in lines if line.tokens] for split, lines in every.items()}
    dropped = [line for lines in every.values() for line in lines if not line.tokens]
    if dropped and empty is None:
        many = f", as {counted(len(dropped) - 1, 'other')}" if len(dropped) > 1 else ""
        must = "`dataset.empty` must be drop where a line is empty"
        raise Mistake(f"{must}, as {dropped[0].place} is{many}, but is null", "dataset.empty=drop leaves it out")
    for (split, file), lines in zip(files, parts.values(), strict=True):
        least = len(SPLITS) if split == "all" else 2 if split == "train" else 1
        if len(lines) < least:
            raise Mistake(f"`dataset.path` must hold at least {counted(least, 'line')} in {file}, but has {len(lines)}")
    cut, how = _split(parts)
    said = [how, *[f"{counted(len(dropped), 'empty line')} left out"] * bool(dropped)]
    kept = [line for lines in cut.values() for line in lines]
    found = {token for line in kept for token in line.tokens}
    vocabulary = sorted(found) if grammar is None else _parsed(grammar).terminals
    return Read(cut, vocabulary, max(kept, key=lambda line: len(line.tokens)), said)


def _split(parts: Mapping[str, Sequence[Line]]) -> tuple[dict[str, list[Line]], str]:
    """Returns the lines of train, valid and test, and how they were split."""
    if "all" in parts:
        rows, how = places(len(parts["all"])), "split at random, the same for every run"
        return {split: [parts["all"][row] for row in its] for split, its in zip(SPLITS, rows, strict=True)}, how
    if "valid" in parts:
        return {split: [*lines] for split, lines in parts.items()}, "split by its files"
    train, valid = ([parts["train"][row] for row in its] for its in without_valid(torch.arange(len(parts["train"]))))
    how = "split by its files, valid cut from that of train"
    return {"train": train, "valid": valid, "test": [*parts["test"]]}, how


def _lines(file: Path, split: Callable[[str], Sequence[str]]) -> list[Line]:
    """Reads the lines of a file.

    Raises:
        Mistake: it cannot be read, or a line has something that is no token.
    """
    try:
        content = file.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        rows = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        where = f"line {content.count(10, 0, error.start) + 1} of {file}"
        cure = f"iconv -f LATIN1 -t UTF-8 {quote(str(file))} > FILE, if that is what it is in"
        raise Mistake(f"`dataset.path` must be text in UTF-8, but {where} is not", cure) from None
    except (OSError, EOFError, zlib.error) as error:
        raise Mistake(f"`dataset.path` must be readable, but {file} is not: {error}") from error
    found = []
    for number, row in enumerate(rows[:-1] if rows[-1] == "" else rows, 1):
        try:
            found.append(Line(file, number, split(row)))
        except ValueError as error:
            must, cure = "`dataset.path` must be strings of these tokens", "dataset.tokens=characters takes any line"
            raise Mistake(f"{must}, but line {number} of {file} is not: {error}", cure) from error
    return found
