"""What the strings that a run models mean, and how they are spelled."""

from __future__ import annotations

from dgmrun.protocols.language import Language
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup


def language(setup: Setup) -> Language | None:
    """Returns what the strings that are modelled mean, or None if they are not spelled.

    Of a dataset that knows no more of them than its words, these are joined by spaces.
    """
    if not setup.is_of_x or setup.event.kind != "tokens":
        return None
    words = setup.data.loaded["train"].words
    plain = Language(lambda tokens: " ".join(words[token] for token in tokens)) if words else None
    return build.language(setup.config["dataset"]) or plain
