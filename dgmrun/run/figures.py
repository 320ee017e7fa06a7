"""Figures as results.json holds them: an estimate, and what it is of. Written, read and checked by the same fields."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dgmrun.protocols.values import QUANTITIES, UNKNOWN, Estimate, Quantity


@dataclass(frozen=True)
class Identity:
    """Which weights a figure is of, or through.

    Args:
        run: the run's directory.
        step: of its training.
        weights_sha256: of the file's bytes.
    """

    run: str
    step: int
    weights_sha256: str


@dataclass(frozen=True, kw_only=True)
class Figure(Estimate):
    """An estimate and its provenance.

    Args:
        of: the weights that it is a figure of.
        seconds: that it took.
        split: whose examples it is of; None where it is of none.
        examples: how many.
        size: mean number of dimensions, words or tokens of one.
        given: what they are conditioned on.
        proposal: the weights that it is through.
    """

    of: Identity
    seconds: float
    split: str | None = None
    examples: int | None = None
    size: float | None = None
    given: str | None = None
    proposal: Identity | None = None

    @classmethod
    def made(cls, estimate: Estimate, **provenance: Any) -> Figure:
        """The figure that an estimate becomes."""
        return cls(**vars(estimate), **provenance)

    @property
    def known(self) -> Quantity:
        """What is known of its quantity."""
        return QUANTITIES.get(self.quantity, UNKNOWN)

    def is_stale(self, weights: str | None) -> bool:
        """Whether it is neither of the weights with this sha256 nor through them."""
        return weights not in (None, self.of.weights_sha256, self.proposal and self.proposal.weights_sha256)

    def is_of_another(self, weights: str | None) -> bool:
        """Whether it is of another run, through the weights with this sha256."""
        return self.proposal is not None and weights == self.proposal.weights_sha256

    def to_json(self) -> dict[str, Any]:
        """What results.json holds of it."""
        return {**asdict(self), "unit": self.unit}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Figure:
        """The figure that results.json holds, its types checked when the file was read.

        Raises:
            ValueError: a part is missing.
        """
        for part in fields(cls):
            is_needed = part.default is MISSING and part.default_factory is MISSING
            if part.name not in entry or (entry[part.name] is None and (is_needed and not _may_be_none(part.name))):
                raise ValueError(f"it lacks {part.name}")
        parts = {part.name: entry[part.name] for part in fields(cls)}
        for name in ("of", "proposal"):
            parts[name] = None if parts[name] is None else Identity(**{key: parts[name][key] for key in IDENTITY})
        if parts["interval"] is not None:
            parts["interval"] = tuple(parts["interval"])
        return cls(**parts)


def figures(results: Mapping[str, Any]) -> dict[str, dict[str, Figure]]:
    """The figures of every stage by label; an entry that is not whole, as of another version, is none."""
    found: dict[str, dict[str, Figure]] = {}
    for word, label, entry in entries(results):
        try:
            found.setdefault(word, {})[label] = Figure.from_json(entry)
        except (ValueError, KeyError):
            continue
    return found


def entries(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Stage word, label and entry of all that has a value."""
    for word, labels in results.items():
        for label, entry in labels.items() if isinstance(labels, Mapping) else ():
            if isinstance(entry, Mapping) and "value" in entry:
                yield word, label, entry


@cache
def schema(of: type) -> dict[str, Any]:
    """The shape of a dataclass in a JSON file, as `untrusted` checks it, from its annotations."""
    return {name: _shape(annotation) for name, annotation in get_type_hints(of).items()}


def _shape(annotation: Any) -> Any:
    """A type, the words of a Literal, a mapping, or a list."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _shape(next(part for part in parts if part is not type(None)))
    if origin is Literal:
        return parts
    if origin is dict:
        return {} if parts[1] is Any else {...: _shape(parts[1])}
    if origin in (list, tuple):
        return [_shape(part) for part in parts]
    return schema(annotation) if annotation is Identity else annotation


def _may_be_none(name: str) -> bool:
    return type(None) in get_args(get_type_hints(Figure)[name])


IDENTITY = schema(Identity)
FIGURE = schema(Figure)
