"""What a search is over: ranges of keys, in Hydra's override grammar, and the settings of the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from dgmrun.command.arguments import Arguments, root
from dgmrun.errors import Mistake
from dgmrun.paths import leaves

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

GOALS = ("valid/nll", "valid/bound", "valid/loss")
"""Figures that may be minimised, in the order in which the first that a run has is chosen."""
SAMPLERS = ("tpe", "random")
Compose = Callable[[Sequence[str]], tuple[dict[str, Any], Path]]


class Plan(NamedTuple):
    """What is searched.

    Args:
        space: range of each key that is searched.
        fixed: overrides of every trial.
        settings: the section `search`.
        sweep: the section `sweep`.
        folder: directory of the trials.
    """

    space: dict[str, BaseDistribution]
    fixed: list[str]
    settings: dict[str, Any]
    sweep: dict[str, Any]
    folder: Path


def plan(arguments: Arguments, composed: Compose) -> Plan:
    """Reads a command line.

    Raises:
        Mistake: nothing is searched, a range is invalid, or a setting is.
    """
    given = [one for one in arguments.overrides if root(one) != "search"]
    of_search = [one for one in arguments.overrides if root(one) == "search"]
    parsed = dict(zip(given, OverridesParser.create().parse_overrides(given), strict=True))
    ranges = {text: one for text, one in parsed.items() if one.is_sweep_override()}
    fixed = [text for text in given if text not in ranges]
    space = {str(one.key_or_group): _range(one) for one in ranges.values()}
    first = [f"{one.key_or_group}={next(iter(_values(one)))}" for one in ranges.values()]
    config, _ = composed([*fixed, *first, *of_search])
    settings, folder = config["search"], Path(HydraConfig.get().sweep.dir).absolute()
    texts = [f"{key}={value}" for key, value in leaves(settings["space"])]
    space |= {str(one.key_or_group): _range(one) for one in OverridesParser.create().parse_overrides(texts)}
    if not space:
        raise Mistake("`search` must have ranges to search, but has none", "optimizer.lr='tag(log, interval(1e-4, 1))'")
    _check(settings)
    if "train" not in config["stages"]:
        raise Mistake(f"`stages` must have train in a search, but are {', '.join(config['stages'])}")
    if config["sweep"]["on"] != "here":
        must = f"`sweep.on` must be here for a search, which waits for its trials, but is {config['sweep']['on']}"
        raise Mistake(must, "the same command without it as one job of Slurm, with sweep.jobs trials at a time")
    return Plan(space, fixed, settings, config["sweep"], folder)


def _check(settings: dict[str, Any]) -> None:
    if settings["goal"] not in (None, *GOALS):
        must = f"`search.goal` must be {', '.join(GOALS)} or null"
        raise Mistake(f"{must}, as a test split that settings were chosen by tests nothing, but is {settings['goal']}")
    if settings["sampler"] not in SAMPLERS:
        raise Mistake(f"`search.sampler` must be {' or '.join(SAMPLERS)}, but is {settings['sampler']}")
    if type(settings["trials"]) is not int or settings["trials"] < 1:
        raise Mistake(f"`search.trials` must be a whole number and at least 1, but is {settings['trials']}")


def _values(one: Override) -> list[Any]:
    """Returns values of a range: all that are listed, or the ends of an interval."""
    value: Any = one.value()
    return [value.start, value.end] if isinstance(value, IntervalSweep) else list(one.sweep_string_iterator())


def _range(one: Override) -> BaseDistribution:
    """Converts a range of Hydra's override grammar to one of Optuna's.

    Raises:
        Mistake: it is no range, or an empty one.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = one.value()
    key = one.key_or_group
    if not isinstance(value, (ChoiceSweep, IntervalSweep, RangeSweep)):
        raise Mistake(f"`search.space.{key}` must be a range, but is {value}", f"{key}: interval(0, 1)")
    is_log = "log" in value.tags
    if not isinstance(value, ChoiceSweep):
        low, high = value.start or 0, (value.end if isinstance(value, IntervalSweep) else value.stop) or 0
        if low >= high:
            raise Mistake(f"`{key}` must be a range from low to high, but is from {low} to {high}")
        if is_log and low <= 0:
            raise Mistake(f"`{key}` must be a range above 0 for log, but is from {low} to {high}")
    try:
        if isinstance(value, IntervalSweep):
            return FloatDistribution(low, high, is_log)
        if isinstance(value, RangeSweep) and all(type(each) is int for each in (value.start, value.stop, value.step)):
            return IntDistribution(int(value.start or 0), int(value.stop or 0) - 1, is_log, int(value.step))
        return CategoricalDistribution([str(each) for each in _values(one)])
    except ValueError as error:
        raise Mistake(f"`{key}` must be a range of values, but: {error}") from None
