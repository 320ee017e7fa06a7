"""A run from Python: the same functions as behind the command line, and so the same figures.

A call with settings is a command: `run.log_z("ais", num_chains=100)` is `dgmrun log_z run=DIR log_z.methods=[ais]
log_z.ais.num_chains=100`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from numpy import generic, ndarray
from torch import Tensor, nn

from dgmrun.command import arguments, compose, execution
from dgmrun.errors import Mistake
from dgmrun.paths import literal
from dgmrun.report.figures import every
from dgmrun.report.runs import read
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure
from dgmrun.stages.sample import completion, draw
from dgmrun.workbench import build, examples, partition, scoring
from dgmrun.workbench.selection import log_z_methods
from dgmrun.workbench.setup import Setup

FROM_BEST = ("exact", "lower_bound", "estimate", "upper_bound")
"""Kinds of figures, in the order in which they are preferred."""


class Scores(NamedTuple):
    """Log-probabilities of examples in original units [N], in nats, and their mean with its error bar and kind."""

    log_prob: Tensor
    mean: Figure

    def __repr__(self) -> str:
        """One line about the mean."""
        return f"{self.mean}; {len(self.log_prob)} examples"


class Trained:
    """A run that has weights.

    Args:
        path: its directory.
        words: further words of a command, e.g. `dataset.path=F` or `--config-dir=FOLDER`.

    Raises:
        Mistake: there is no run, or it cannot be read or trusted.
    """

    def __init__(self, path: str | Path, *words: str) -> None:
        self.run, self.words = Run.open(_folder(path)), words

    def __repr__(self) -> str:
        """One line: model, objective, dataset and directory."""
        chosen = self.run.config["choices"]
        return f"{chosen['model']} by {chosen['objective']} on {chosen['dataset']}: {self.run.path}"

    @property
    def path(self) -> Path:
        """The directory."""
        return self.run.path

    @cached_property
    def model(self) -> nn.Module:
        """The model with its trained weights, for evaluation; it takes and gives what the run's transform makes."""
        return self._setup.trained_model(self.run)

    def data(self, split: str = "test") -> Tensor:
        """Returns x of a split in original units, [N, ...]: bits, grey levels or the numbers of the file.

        Raises:
            Mistake: there is no such split.
        """
        return self._setup.data.original(examples.split(split))

    def labels(self, split: str = "test") -> Tensor | None:
        """Returns the labels of a split, [N, ...], or None if the dataset has none.

        Raises:
            Mistake: there is no such split.
        """
        return self._setup.data.splits[examples.split(split)].y

    def sample(
        self,
        count: int = 64,
        given: Any = None,
        seed: int | None = None,
        **settings: Any,
    ) -> Tensor:
        """Returns samples of the model in original units, [count, ...], as the stage `sample` draws them.

        Args:
            count: number of samples.
            given: class or classes, numbers or words, or lists of attributes or of words of captions, each with an
                equal share of the samples; None for all classes in turn, or attributes or captions of test examples.
            seed: seed of the samples; None: that of the run, with which the stage draws.
            settings: further settings of the section `sample`, e.g. `burn_in=1000`.

        Raises:
            Mistake: a setting is invalid.
        """
        asked = {
            "count": count,
            "given": _listed(given),
            **settings,
        }
        setup = self._asked({f"sample.{key}": value for key, value in asked.items()})
        setup = setup if seed is None else setup.with_settings({**setup.config, "seed": seed})
        draw.check_classes(setup)
        completion.check(setup, self.model)
        if setup.config["sample"]["complete"] is not None:
            return setup.upright(completion.completions(self.model, setup)[1])
        conditions = draw.conditions(setup, setup.scored("test"))
        size = count if conditions.context is None else len(conditions.context)
        return setup.upright(draw.drawn(self.model, setup, setup, size, conditions))

    def log_prob(self, x: Any = "test", method: str | None = None, given: Any = None, **settings: Any) -> Scores:
        """Returns the log-probability of each example in original units, in nats, and their mean.

        Args:
            x: the name of a split, or examples in original units, [N, ...].
            method: a likelihood method; of an unnormalised density, a method for log Z. None: the best of all that
                apply by default, which is the exact one or else the highest lower bound.
            given: context of each example, if `x` is no split and the model is conditional.
            settings: settings of the method.

        Raises:
            Mistake: the model has no likelihood, the examples do not suit it, or a setting is invalid.
        """
        setup = self._with_method("likelihood", method, settings)
        found = [Scores(*each) for each in examples.scores(self.run, setup, self.model, x, given)]
        return min(found, key=lambda one: (FROM_BEST.index(one.mean.kind), -one.mean.value))

    def log_z(self, method: str | None = None, **settings: Any) -> Figure:
        """Returns log Z, in nats, and records it in the run; a student's is that of its teacher.

        Args:
            method: a method; None: the one with the smallest standard error of all that apply by default.
            settings: settings of the method.

        Raises:
            Mistake: the model has no log Z, or a setting is invalid.
        """
        setup = self._with_method("log_z", method, settings)
        found = partition.measure(self.run, setup, log_z_methods(setup)).values()
        return min(found, key=lambda one: (one.interval is None, bool(one.warnings), one.standard_error or 0.0))

    @property
    def results(self) -> Any:
        """Every figure of the run: a DataFrame if pandas is installed, else a list with a dictionary for each row."""
        weights = self.run.weights_sha256() if self.run.weights_file.exists() else None
        rows = [_row(label, figure, weights) for label, figure in every(self.run.results).items()]
        try:
            pandas = import_module("pandas")
        except ImportError:
            return rows
        return pandas.DataFrame(rows)

    @cached_property
    def _setup(self) -> Setup:
        """The run's configuration, with its data, which must be those that it was trained on."""
        setup = self._asked({})
        execution.take_up(setup, self.path, named=True)
        return setup

    def _asked(self, settings: Mapping[str, Any]) -> Setup:
        """Returns the run's configuration with other values of some keys, checked as those of a command are."""
        said = [f"{key}={literal(value)}" for key, value in settings.items()]
        parsed = arguments.parse([f"run={self.path}", "stages=[]", *self.words, *said])
        composed = compose.compose(parsed)
        if composed is None:
            raise Mistake(f"a run takes keys, but the words are {' '.join(self.words)}")
        config, directory = composed
        build.check_targets(config, parsed.search_path)
        if "_setup" in vars(self):
            return self._setup.with_settings(build.completed(config))
        return Setup(build.completed(config), parsed.search_path, directory)

    def _with_method(self, word: str, method: str | None, settings: Mapping[str, Any]) -> Setup:
        """Returns the run's configuration with one method of a stage, or with those that apply by default."""
        if not isinstance(method, str | None):
            raise Mistake(f"`method` must be the name of a method, but is {method!r}")
        method = None if method == "auto" else method
        if method is None and settings:
            raise Mistake(f"`method` must be given with {', '.join(settings)}, but is None")
        setup = self._setup
        if method is None:
            return setup
        group = "log_z" if scoring.rests_on_log_z(setup) else word
        of_method = {f"{group}.{method}.{key}": value for key, value in settings.items()}
        return self._asked({f"{word}.methods": [method], **of_method})


def runs(folders: Sequence[str | Path]) -> list[Trained]:
    """Returns all runs below the directories.

    Raises:
        Mistake: a directory has none.
    """
    return [Trained(entry.path) for entry in read(list(map(_folder, folders)))]


def _folder(path: Any) -> Path:
    """Returns a path.

    Raises:
        Mistake: it is none.
    """
    try:
        return Path(path)
    except TypeError:
        raise Mistake(f"`DIR` must be the path of a folder, but is {path!r}") from None


def _listed(given: Any) -> Any:
    """Returns what is given as a number, a word or a list; what is none of these as a word, for which it is refused."""
    if isinstance(given, (Tensor, ndarray, generic)):
        return given.tolist()
    if isinstance(given, (list, tuple, range)):
        return [_listed(each) for each in given]
    return given if given is None or isinstance(given, (int, float, str)) else repr(given)


def _row(label: str, figure: Figure, weights: str | None) -> dict[str, Any]:
    """Returns a figure as a row of a table."""
    low, high = figure.interval or (None, None)
    return {
        "figure": label,
        "value": figure.value,
        "standard_error": figure.standard_error,
        "low": low,
        "high": high,
        **{name: getattr(figure, name) for name in ("unit", "quantity", "kind", "bias", "split", "examples", "given")},
        "stale": figure.is_stale(weights),
        "warnings": "; ".join(figure.warnings),
    }
