"""Molecules of ZINC, and what RDKit says of strings, beside what is published."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from dgmrun.data import files, molecules, strings
from dgmrun.data.splits import Splits
from dgmrun.datasets import smiles
from dgmrun.errors import Mistake
from dgmrun.nn.grammar import Grammar
from dgmrun.paths import options


@pytest.fixture(scope="module")
def splits(data_dir: Path) -> Splits:
    return smiles.load(data_dir, "valid")


def test_the_molecules_are_as_published(splits: Splits, data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each once, as it was; the tokens are those that there are, of which two are in test alone."""
    spell = smiles.language("valid").spell
    lines = [spell([number for number in row if number]) for split in splits.values() for row in split.x.tolist()]
    published = [line for name in ("valid", "test") for line in smiles._molecules(data_dir, name, smiles.SHA256[name])]
    assert Counter(lines) == Counter(published)
    assert {molecules.TOKEN.fullmatch(token) is not None for token in smiles.TOKENS} == {True}
    used = {name: set(split.x.unique().tolist()) for name, split in splits.items()}
    assert set.union(*used.values()) == {*range(smiles.event("valid").size or 0)}
    alone = used["test"] - used["train"] - used["valid"]
    assert [spell([number]) for number in sorted(alone)] == ["7", "[OH+]"]
    with caplog.at_level(logging.INFO, "dgmrun"):
        few = {name: [["C"]] for name in ("train", "valid")} | {"test": [["C", "7"], ["C"], ["7"]]}
        strings.numbered("smiles", few, *smiles.PARTS["valid"])
    assert "smiles: 1 token in 2 strings of test that train lacks: 7" in caplog.text


def test_the_whole_is_told_by_its_name_in_git_and_needs_no_further_token(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git has b6c51cb2... as the name of valid, too."""
    valid = files.read(data_dir, ("zinc/valid.txt.gz",), "", smiles.SHA256["valid"])
    assert smiles.git_name(valid) == "b6c51cb245602f46f7a5ccf6003d5d4d3f6a96fc"
    parts = {"train": ["C[Si-]%12Cl"], "valid": ["C"], "test": ["[OH+]"]}
    monkeypatch.setattr(smiles, "_molecules", lambda data_dir, name, *_: parts[name])
    train, _, test = smiles.load(data_dir, "all").values()
    spelled = [smiles.language("all").spell([number]) for number in train.x[0].tolist() if number]
    assert spelled == ["C", "[", "S", "i", "-", "]", "%", "1", "2", "Cl"]
    assert test.x[0].count_nonzero() == 1
    assert smiles.event("all").size == len({*smiles.TOKENS, *smiles.FURTHER}) + 1


@pytest.mark.parametrize(
    ("string", "expected"),
    [
        ("C[C@@H](Cl)Br", ["C", "[C@@H]", "(", "Cl", ")", "Br"]),
        ("c1cc%12[nH]1", ["c", "1", "c", "c", "%12", "[nH]", "1"]),
        (r"F/C=C\I", ["F", "/", "C", "=", "C", "\\", "I"]),
    ],
)
def test_an_atom_is_one_token(string: str, expected: list[str]) -> None:
    assert molecules.tokens(string) == expected


@pytest.mark.parametrize(
    ("string", "is_one"),
    [("CCO", True), ("", False), ("C(C", False), ("C(C)(C)(C)(C)C", False), ("c1cccc1", False), ("C1CC1", True)],
)
def test_chemistry_says_what_a_molecule_is(string: str, is_one: bool, capfd: pytest.CaptureFixture[str]) -> None:
    assert molecules.is_molecule(string) is is_one
    assert capfd.readouterr() == ("", "")


def test_a_molecule_has_one_canonical_spelling() -> None:
    assert len({*map(molecules.canonical, ["OCC", "CCO", "C(O)C", "[CH3]CO"])}) == 1
    assert molecules.canonical("C(C") == "C(C"


def test_drug_likeness_is_as_published() -> None:
    """Of aspirin, 0.55 in the documentation of RDKit; without rings, the penalty is that of no large ring."""
    assert molecules.qed("CC(=O)Oc1ccccc1C(=O)O") == pytest.approx(0.55, abs=5e-3)
    assert smiles.language("valid").properties["qed"].better == "higher"


def test_parts_of_the_penalised_log_p_are_standardised_over_zinc(data_dir: Path) -> None:
    """Molecules of test, which these means and deviations were not of, within 4 standard errors."""
    lines = smiles._molecules(data_dir, "test", smiles.SHA256["test"])[:500]
    parts = torch.tensor([molecules._parts(molecules._molecule(line)) for line in lines], dtype=torch.float64)
    means, deviations = torch.tensor([molecules.LOG_P, molecules.SA, molecules.RING], dtype=torch.float64).T
    assert ((parts.mean(0) - means).abs() <= 4 * deviations / len(lines) ** 0.5).all()
    first = (parts[0] - means) / deviations
    assert molecules.penalised_log_p(lines[0]) == pytest.approx(float(first[0] - first[1] - first[2]))


def test_without_rdkit_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(Mistake, match="where RDKit, which judges these, is not installed") as caught:
        molecules.is_molecule("C")
    assert caught.value.hint == "pip install 'dgmrun[molecules]'"


def test_parts_that_do_not_exist() -> None:
    with pytest.raises(Mistake, match=r"`dataset.part` must be valid or all, but is al \(did you mean"):
        smiles.event("al")


@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow), 100], ids=["all molecules", "one of a hundred"]
)
def test_the_grammar_derives_the_molecules_and_numbers_tokens_as_they_are(every: int, splits: Splits) -> None:
    grammar = Grammar(yaml.safe_load(options("dataset")["smiles"].read_text())["grammar"])
    assert grammar.terminals == smiles.TOKENS
    for split in splits.values():
        for row in split.x[::every].tolist():
            string = row[: row.index(0)]
            assert grammar.tokens(grammar.derivation(string)) == string
    for wrong in ("C(", "C)C", "(C)C", "C==C", "C1=", "=C", "C(=)C", "C(C)1"):
        assert not grammar.derives(grammar.tokenise(wrong))
