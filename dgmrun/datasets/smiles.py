"""Molecules of ZINC in SMILES: drug-like ones that can be bought.

249,455 molecules of ZINC were chosen at random by Gomez-Bombarelli et al.; these are the parts of Jin, Barzilay and
Jaakkola (2018), 220,011 train, 24,445 valid and 5,000 test, one a line.

- `valid`: theirs of valid, of which a tenth is valid here and the rest train, and theirs of test: small files.
- `all`: their three parts, as they are published.

Of `valid`, the tokens are the 49 that these molecules have, of which `7` and `[OH+]` are in test alone. Of `all`, atoms
in brackets that are none of these 49 are taken apart to their characters, so that the vocabulary is known before the
files are read. The checksums are SHA-256 of the content, and of train the name that Git has for it.

References:
    Irwin, Sterling, Mysinger, Bolstad and Coleman (2012), ZINC: a free tool to discover chemistry for biology.
    Gomez-Bombarelli et al. (2018), Automatic chemical design using a data-driven continuous representation of
    molecules, https://arxiv.org/abs/1610.02415.
    Jin, Barzilay and Jaakkola (2018), Junction tree variational autoencoder, https://arxiv.org/abs/1802.04364; files at
    https://github.com/wengong-jin/icml18-jtnn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from dgmrun.data import files, molecules, strings
from dgmrun.data.splits import Splits, without_valid
from dgmrun.errors import Mistake, nearest
from dgmrun.protocols.language import Language
from dgmrun.protocols.values import Event

URL = "https://raw.githubusercontent.com/wengong-jin/icml18-jtnn/d4c425a8a28fce7d0e8f5da741d27d3fce4a7ec0/data/zinc"
TOKENS = (
    r"# ( ) - / 1 2 3 4 5 6 7 = Br C Cl F I N O P S [C@@H] [C@@] [C@H] [C@] [N+] [N-] [NH+] [NH-] [NH2+] [NH3+] [O-] "
    r"[OH+] [P@@] [P@] [S-] [S@@] [S@] [n+] [n-] [nH+] [nH] [o+] \ c n o s"
).split()
"""Those of valid and test, in their sorted order."""
FURTHER = "% + . 0 8 9 @ B H [ ] b e i l p r".split()
"""With these, other atoms in brackets and rings beyond the ninth can be written character by character."""
KNOWN = frozenset(TOKENS)
SHA256 = {
    "valid": "ad7d9c2bfebd93ffda6c32ed0e89d1714ae1f592f6340c0e6ae057521bbae30d",
    "test": "31f6ce92914814db33bf0dbfc45f3836193e27cb80a59c54d88bc05a1f5fab83",
}
TRAIN = "6b74ace82b9d7091186c6efc08b1f401a0d86ab9"
"""Name that Git has for the content of train, of which nobody publishes another checksum."""


class Part(NamedTuple):
    """Tokens of a part of the molecules, and the places of a string, the last for the end of the longest."""

    tokens: list[str]
    length: int


PARTS = {"valid": Part(TOKENS, 69), "all": Part(TOKENS + FURTHER, 121)}


def load(data_dir: Path, part: str, grammar: str = "") -> Splits:
    """Loads x [N, length], tokens by number.

    Args:
        data_dir: folder of all datasets.
        part: `valid` or `all`.
        grammar: rules by which `model=grammar_vae` derives molecules: those of OpenSMILES, so arranged that the next
            token tells which applies. That rings close and valences are right is beyond them.

    Raises:
        Mistake: there is no such part, or its files are neither there nor can be downloaded.
    """
    its, test = _part(part), _molecules(data_dir, "test", SHA256["test"])
    valid = _molecules(data_dir, "valid", SHA256["valid"])
    if part == "all":
        train = _molecules(data_dir, "train", TRAIN, git_name)
    else:
        train, valid = ([valid[row] for row in rows] for rows in without_valid(torch.arange(len(valid))))
    every = {"train": train, "valid": valid, "test": test}
    return strings.numbered("smiles", {name: [*map(_tokens, lines)] for name, lines in every.items()}, *its)


def event(part: str, grammar: str = "") -> Event:
    """Returns the event of a molecule.

    Raises:
        Mistake: there is no such part.
    """
    tokens, length = _part(part)
    return Event((length,), "tokens", len(tokens) + 1)


def language(part: str, grammar: str = "") -> Language:
    """Returns how molecules are spelled, which strings are some, and what can be measured of these."""
    return molecules.language(("", *_part(part).tokens))


def git_name(content: bytes) -> str:
    """Returns the name that Git has for a content: the SHA-1 of it with its length before it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _part(part: str) -> Part:
    if part not in PARTS:
        raise Mistake(f"`dataset.part` must be {' or '.join(PARTS)}, but is {part}{nearest(str(part), PARTS)}")
    return PARTS[part]


def _molecules(data_dir: Path, name: str, checksum: str, digest: Callable[[bytes], str] = files.sha256) -> list[str]:
    names = (f"zinc/{name}.txt", f"zinc/{name}.txt.gz")
    return files.read(data_dir, names, f"{URL}/{name}.txt", checksum, digest).decode().split()


def _tokens(smiles: str) -> list[str]:
    """Returns the tokens of a molecule, of brackets that are not among them their characters."""
    found = molecules.tokens(smiles)
    return [part for token in found for part in ([token] if token in KNOWN else token)]
