r"""Molecules as strings in SMILES: their tokens, and, by RDKit, which are molecules and what can be measured of them.

A token is what stands for one atom, bond, branch or closing of a ring: `Cl`, `[C@@H]` and `%12` are one each. These are
the tokens of the published regular expression of Schwaller et al.

The penalised log P is

.. math::  \hat{\log P}(m) - \hat{SA}(m) - \hat{c}(m)

of the octanol-water partition coefficient, the score of synthetic accessibility, and the number of atoms by which the
largest ring is above six, each less its mean over the 249,455 molecules of ZINC and divided by its standard deviation.

References:
    Weininger (1988), SMILES, a chemical language and information system, J. Chem. Inf. Comput. Sci. 28; and
    http://opensmiles.org/opensmiles.html, section 2.
    Schwaller, Gaudin, Lanyi, Bekas and Laino (2018), "Found in translation", Chemical Science 9, section 3.2; and
    Schwaller et al. (2019), Molecular Transformer, ACS Central Science 5.
    Bickerton et al. (2012), Quantifying the chemical beauty of drugs, Nature Chemistry 4: qed.
    Ertl and Schuffenhauer (2009), Estimation of synthetic accessibility score, J. Cheminformatics 1.
    Kusner, Paige and Hernandez-Lobato (2017), Grammar variational autoencoder, https://arxiv.org/abs/1703.01925,
    section 4; Jin, Barzilay and Jaakkola (2018), https://arxiv.org/abs/1802.04364, section 3.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dgmrun.errors import Mistake
from dgmrun.protocols.language import Language, Property

TOKEN = re.compile(r"\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|/|:|~|@|\?|>|\*|\$|%[0-9]{2}|[0-9]")
LOG_P = (2.4570953396190123, 1.434324401111988)
SA = (3.0525811293166134, 0.8335207024513095)
RING = (0.0485696876403053, 0.2860212110245455)
"""Mean and standard deviation over ZINC of the three parts of the penalised log P."""
LARGEST_RING = 6
"""Number of atoms of the largest ring that is not penalised."""


def tokens(smiles: str) -> list[str]:
    """Returns the tokens of a string, which joined are the string.

    Raises:
        ValueError: it has a character that is no part of a token.
    """
    found = TOKEN.findall(smiles)
    if "".join(found) != smiles:
        rest = TOKEN.sub("", smiles)
        raise ValueError(f"it has {rest[0]!r}, which is in no token of SMILES")
    return found


def language(words: Sequence[str]) -> Language:
    """Returns what strings of tokens with these words mean; RDKit is asked when a string is judged."""
    return Language(
        lambda numbers: "".join(words[number] for number in numbers),
        is_valid=is_molecule,
        properties={"qed": Property(qed, "higher"), "penalised_log_p": Property(penalised_log_p, "higher")},
        canonical=canonical,
    )


def is_molecule(smiles: str) -> bool:
    """Returns whether RDKit makes a molecule of at least one atom of it, with valences and aromaticity that can be."""
    return _molecule(smiles) is not None


def canonical(smiles: str) -> str:
    """Returns the one string that RDKit has for this molecule, or the string itself if it is none."""
    molecule = _molecule(smiles)
    return smiles if molecule is None else str(_chemistry().MolToSmiles(molecule))


def qed(smiles: str) -> float:
    """Returns the quantitative estimate of drug-likeness, from 0 to 1, of a molecule."""
    from rdkit.Chem.QED import qed

    return float(qed(_molecule(smiles)))


def penalised_log_p(smiles: str) -> float:
    """Returns the penalised log P of a molecule."""
    molecule = _molecule(smiles)
    parts = zip(_parts(molecule), (LOG_P, SA, RING), (1, -1, -1), strict=True)
    return sum(sign * (value - mean) / deviation for value, (mean, deviation), sign in parts)


def _parts(molecule: Any) -> tuple[float, float, float]:
    """Returns log P, the score of synthetic accessibility, and by how much the largest ring is above six atoms."""
    from rdkit.Chem.Crippen import MolLogP
    from rdkit.Contrib.SA_Score.sascorer import calculateScore

    largest = max((len(ring) for ring in molecule.GetRingInfo().AtomRings()), default=0)
    return MolLogP(molecule), calculateScore(molecule), max(0, largest - LARGEST_RING)


def _molecule(smiles: str) -> Any:
    """Returns RDKit's molecule, or None; nothing is printed of why it is none."""
    chemistry = _chemistry()
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        molecule = chemistry.MolFromSmiles(smiles)
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def _chemistry() -> Any:
    """Returns RDKit's module of molecules.

    Raises:
        Mistake: RDKit is not installed.
    """
    try:
        from rdkit import Chem
    except ImportError:
        must = "`dataset` must be of other strings than molecules where RDKit, which judges these, is not installed"
        raise Mistake(must, "pip install 'dgmrun[molecules]'") from None
    return Chem
