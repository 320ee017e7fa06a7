"""dgmrun: train deep generative models and score every one of them in nats, with an error bar.

From Python as on the command line, with the same figures:

    run = dgmrun.train("model=rbm", "dataset=digits")
    run = dgmrun.load("outputs/digits/rbm-pcd/2026-01-01_12-00-00-000000")
    run.sample(64), run.log_prob("test"), run.log_z("ais"), run.results
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from dgmrun.command.trained import Trained

__version__ = "0.1.0"


def load(path: str | Path, *words: str) -> Trained:
    """Opens a run; see `Trained`.

    Args:
        path: its directory.
        words: keys that a run may be given anew, e.g. `dataset.path=F` after its data have moved.

    Raises:
        Mistake: there is no run, or it cannot be read or trusted.
    """
    from dgmrun.command.trained import Trained

    return Trained(path, *words)


def runs(*folders: str | Path) -> list[Trained]:
    """Opens all runs below the directories, by default below `outputs`.

    Raises:
        Mistake: a directory has none.
    """
    from dgmrun.command.trained import runs as found

    return found(folders or ("outputs",))


def train(*words: str) -> Trained:
    """Makes a run as `dgmrun WORDS` does, trains it unless the words name other stages, and opens it.

    Args:
        words: words of the command line: `model=rbm`, `trainer.max_steps=1000`, `train`, `likelihood`.

    Raises:
        Mistake: the words are no command for one run, or the training cannot go on.
    """
    from dgmrun.cli import run
    from dgmrun.command.trained import Trained

    made = run(list(words))
    return Trained(
        made, *(word for word in words if word.partition("=")[0].partition(".")[0] in ("data_dir", "device"))
    )
