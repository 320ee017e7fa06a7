"""Figures, i.e. estimates with their provenance, as stored in results.json; a dataclass defines their JSON schema."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dgmrun.errors import printable
from dgmrun.protocols.values import Estimate


@dataclass(frozen=True)
class Identity:
    """Identity of the weights of a model or a proposal.

    Args:
        run: directory of the run.
        step: training step of the weights.
        weights_sha256: SHA-256 of the weights file.
    """

    run: str
    step: int
    weights_sha256: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Figure(Estimate):
    """An estimate and its provenance.

    Args:
        of: weights of the model that was evaluated.
        seconds: computing time.
        split: split that the examples come from; None if there are none.
        examples: number of examples.
        size: mean number of dimensions, words or tokens per example.
        given: what the examples are conditioned on.
        proposal: weights of the proposal, if one was used.
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
        """Makes a figure from an estimate and its provenance."""
        return cls(**vars(estimate), **provenance)

    def is_stale(self, weights: str | None) -> bool:
        """Returns whether neither the model nor the proposal has the weights with this SHA-256."""
        return weights not in (None, self.of.weights_sha256, self.proposal and self.proposal.weights_sha256)

    def is_of_another(self, weights: str | None) -> bool:
        """Returns whether the weights with this SHA-256 were the proposal, so that the figure is of another run."""
        return self.proposal is not None and weights == self.proposal.weights_sha256

    def to_json(self) -> dict[str, Any]:
        """Returns the entry of results.json."""
        return {**asdict(self), "unit": self.unit}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Figure:
        """Makes a figure from an entry of results.json, whose types were checked when the file was read.

        Raises:
            ValueError: a field is missing.
        """
        for part in fields(cls):
            if part.name not in entry or (entry[part.name] is None and not _may_be_none(part.name)):
                raise ValueError(f"it lacks {part.name}")
        parts = {part.name: _told(entry[part.name]) for part in fields(cls)}
        for name in ("of", "proposal"):
            parts[name] = None if parts[name] is None else Identity(**{key: parts[name][key] for key in IDENTITY})
        if parts["interval"] is not None:
            parts["interval"] = tuple(parts["interval"])
        parts["curve"] = [tuple(row) for row in parts["curve"]]
        return cls(**parts)


def figures(results: Mapping[str, Any]) -> dict[str, dict[str, Figure]]:
    """Returns the figures of every stage by label; incomplete entries, e.g. of another version, are left out."""
    found: dict[str, dict[str, Figure]] = {}
    for word, label, entry in entries(results):
        try:
            found.setdefault(word, {})[label] = Figure.from_json(entry)
        except (ValueError, KeyError, TypeError):
            continue
    return found


def entries(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yields stage word, label and entry of everything that has a value."""
    for word, labels in results.items():
        for label, entry in labels.items() if isinstance(labels, Mapping) else ():
            if isinstance(entry, Mapping) and "value" in entry:
                yield word, label, entry


@cache
def schema(of: type) -> dict[str, Any]:
    """Returns the JSON schema of a dataclass, in the form that `untrusted` checks, from its annotations."""
    return {name: _shape(annotation) for name, annotation in get_type_hints(of).items()}


def _shape(annotation: Any) -> Any:
    """Returns the schema of an annotation: a type, the words of a Literal, a mapping, or a list."""
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


def _told(value: Any) -> Any:
    """A value whose text a terminal shows and does not obey."""
    return printable(value) if isinstance(value, str) else value


@cache
def _may_be_none(name: str) -> bool:
    return type(None) in get_args(get_type_hints(Figure)[name])


IDENTITY = schema(Identity)
FIGURE = schema(Figure)
