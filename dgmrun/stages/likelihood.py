"""`likelihood`: mean log-probability of a split, in nats per example, with every source of error."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import Any, ClassVar, NamedTuple

import torch
import yaml
from torch import Tensor

from dgmrun.data import transform
from dgmrun.data.splits import SPLITS
from dgmrun.errors import Mistake, nearest
from dgmrun.estimators.density import log_density, log_likelihood
from dgmrun.estimators.units import in_original_units
from dgmrun.paths import options
from dgmrun.pictures import found
from dgmrun.protocols.methods import LikelihoodMethod, LogZMethod
from dgmrun.protocols.models import UnnormalisedDensity
from dgmrun.protocols.values import Estimate
from dgmrun.report import text
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.stages import log_z
from dgmrun.workbench import build
from dgmrun.workbench import selection as _log_z
from dgmrun.workbench.inputs import is_whole, other
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")
SIMULATED = "simulated"
"""In place of a split, for examples that the model made."""


def check(setup: Setup) -> None:
    """Refuses unknown splits, and methods that do not fit."""
    splits(setup)
    methods(setup)


def splits(setup: Setup) -> list[str]:
    """The splits that `likelihood.split` selects."""
    asked = setup.config["likelihood"]["split"]
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names or [""]:
        if name not in SPLITS:
            raise Mistake(
                f"`likelihood.split` must be among {', '.join(SPLITS)}, but has {name or 'none'}{nearest(name, SPLITS)}"
            )
    return names


def main(run: Run, setup: Setup) -> None:
    """Scores every selected split by every selected method, in original units."""
    model = setup.trained_model(run)
    for name, method in methods(setup).items():
        score = ThroughLogZ(run, setup, name, method) if isinstance(model, UnnormalisedDensity) else method
        for split in [SIMULATED] if score.simulates else splits(setup):
            started = time.perf_counter()
            with seeded(setup.config["seed"], "likelihood", name, split):
                scored = simulated(setup, model, score.simulates) if score.simulates else examples(setup, split)
                scores = score(model, scored.x, scored.known)
            log_prob, estimate = in_original_units(scores, scored.log_jacobian)
            seconds = time.perf_counter() - started
            _record(run, split, name, (log_prob, scored.places), estimate.to_dict() | {"seconds": seconds})
    if not isinstance(model, UnnormalisedDensity):
        _draw(run)


def _draw(run: Run) -> None:
    """How the test figures that rest on samples of z come about, the others beside them."""
    from dgmrun.pictures import drawing, evidence

    entries = found.entries(run.results, "likelihood", run.weights_sha256())
    entries = {name: each for name, each in entries.items() if "@" not in name and not each.get("quantity")}
    shown = found.curves(entries)
    if shown.methods:
        most = max(count for rows in shown.methods.values() for count, *_ in rows)
        every = evidence.Curves({**shown.methods, **found.levels(entries, most)}, shown.exact)
        drawing.write(run, "likelihood", {"likelihood": evidence.curves({"": every}, "log-likelihood")})


class Examples(NamedTuple):
    """What is scored.

    Args:
        x: examples [N, *event.shape].
        known: what a method is told beside them: the validation split or, of x that the model made, their z.
        places: of them in the split.
        log_jacobian: what their log-probabilities lack to be in original units, in nats.
    """

    x: Tensor
    known: Tensor
    places: Tensor
    log_jacobian: Tensor


def examples(setup: Setup, split: str) -> Examples:
    """Those of a split, or `likelihood.examples` of them, the same in every run."""
    x, log_jacobian = setup.scored(split), setup.log_jacobian(split)
    with seeded(0, "examples", split):
        places = torch.randperm(len(x))[: setup.config["likelihood"]["examples"]].sort().values
    valid = setup.scored("valid").to(setup.device).float()
    return Examples(x[places].to(setup.device), valid, places, log_jacobian[places])


def simulated(setup: Setup, model: Any, num: int) -> Examples:
    """`num` examples that the model makes, with their z, layers side by side [num, units]."""
    x, z = model.dream(num)
    log_jacobian = transform.log_jacobian(setup.data.back, x.cpu())
    return Examples(x, torch.cat(z, -1)[0], torch.arange(num), log_jacobian)


def methods(setup: Setup) -> dict[str, Any]:
    """The methods that `likelihood.methods` selects: of an unnormalised density its log Z methods, else its own.

    Raises:
        Mistake: a method is unknown, or the model cannot have it.
    """
    model = setup.new_model()
    if isinstance(model, UnnormalisedDensity):
        _check_unused(setup)
        return dict(_log_z.methods(setup, "likelihood"))
    made: dict[str, LikelihoodMethod] = {
        name: build.maker("likelihood", node)()
        for name, node in setup.config["likelihood"].items()
        if name not in build.SETTINGS and build.fits(type(model), build.target(node).requires)
    }
    asked = setup.config["likelihood"]["methods"]
    automatic = {name: method for name, method in made.items() if method.is_automatic}
    if asked == "auto" and not automatic:
        raise Mistake(
            f"`likelihood.methods` must be among {', '.join(made) or 'those of another model'} for "
            f"{setup.config['choices']['model']}, whose density nobody knows, but is auto"
        )
    selected = automatic if asked == "auto" else _log_z.chosen("likelihood", asked, made)
    for method in selected.values():
        build.checked(method.check, model)
    return selected


def _check_unused(setup: Setup) -> None:
    """Refuses settings of methods that are another model's: those of an unnormalised density are of its log Z.

    Raises:
        Mistake: some are not as they are by default.
    """
    for name, file in options("likelihood", setup.search_path).items():
        if setup.config["likelihood"].get(name) not in (None, yaml.safe_load(file.read_text())[name]):
            raise Mistake(
                f"`likelihood.{name}` must be left as it is for {setup.config['choices']['model']}, whose likelihood "
                "rests on its log Z",
                f"log_z.{name}...=... sets how that is found",
            )


@dataclasses.dataclass(frozen=True)
class ThroughLogZ:
    """The likelihood that rests on the run's log Z by a method."""

    simulates: ClassVar[int] = 0
    run: Run
    setup: Setup
    name: str
    method: LogZMethod

    def __call__(self, model: Any, x: Tensor, known: Tensor) -> tuple[Tensor, Estimate]:
        """log p of each example, and their mean."""
        log_f, estimate = log_density(model, x), stored(self.run, self.setup, self.name, self.method)
        return log_f - estimate.value, log_likelihood(log_f, estimate)


def stored(run: Run, setup: Setup, name: str, method: LogZMethod) -> Estimate:
    """The run's log Z by a method, of its weights as they are; estimated first where there is none.

    Raises:
        Mistake: there is none, and no proposal to estimate it through.
    """
    entry: dict[str, Any] | None = run.results.get("log_z", {}).get(name)
    if entry is None or not _is_current(entry, run, method) or not _is_through(entry, setup, method):
        _log_z.check_proposal(name, method, setup.config["log_z"]["proposal"] is not None)
        entry = log_z.measure(run, setup, {name: method})[name]
    return Estimate.from_dict(entry)


def _is_current(entry: dict[str, Any], run: Run, method: LogZMethod) -> bool:
    """Whether a stored log Z is of the present weights, by the present settings."""
    settings = dataclasses.asdict(method)  # type: ignore[call-overload]
    of_these = is_whole(entry) and entry["of"].get("weights_sha256") == run.weights_sha256()
    return of_these and settings.items() <= entry["settings"].items()


def _is_through(entry: dict[str, Any], setup: Setup, method: LogZMethod) -> bool:
    """Whether a stored log Z is through the proposal that is named, if one is."""
    if not method.needs_proposal or setup.config["log_z"]["proposal"] is None:
        return True
    named = other(setup, "log_z.proposal").run.weights_sha256()
    return isinstance(entry.get("proposal"), dict) and entry["proposal"].get("weights_sha256") == named


def _record(run: Run, split: str, name: str, scores: tuple[Tensor, Tensor], entry: dict[str, Any]) -> None:
    label = name if split == "test" else f"{name}@{split}"
    log_prob, index = scores
    run.write_arrays(f"per_example/{split}-{name}.npz", log_prob=log_prob.cpu().numpy(), index=index.numpy())
    entry |= {"split": split, "examples": len(log_prob), "of": run.identity()}
    run.record("likelihood", label, entry)
    log.info(text.estimate("likelihood", label, entry, run.results.get("dataset")))
