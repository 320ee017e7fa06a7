"""What changes about the same data must change nothing, or by what is known: origin, unit and shape."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from dgmrun.errors import Mistake
from dgmrun.paths import options
from dgmrun.protocols.values import Event
from dgmrun.workbench import build
from tests.conftest import narrow

Command = Callable[..., int]


def takes_numbers(text: str) -> bool:
    """Whether a model can be made for real numbers, bits or counts, whatever its dataset has, and given nothing."""
    if re.search(r"\${(oc.select:)?dataset\.|^given: x", text, re.M):
        return False
    node = yaml.safe_load(text)
    for kind in ("real", "binary", "counts"):
        with suppress(Mistake):
            build.maker("model", node["model"])(event=Event((16,), kind))
            return True
    return False


MODELS = [name for name, file in options("model").items() if takes_numbers(file.read_text())]
"""All but those whose data are settings of their own datasets, and those of labels and of strings alone."""
TINY = (
    "dataset=file trainer.max_steps=4 trainer.validate_every_n_steps=2 log_z.ais.num_temperatures=10 "
    "log_z.reverse_ais.num_temperatures=10 log_z.reverse_ais.burn_in=2 sample.burn_in=2 sample.count=4 "
    "gradients.num_samples=20 gradients.tuning=0 likelihood.importance.num_samples=5 likelihood.elbo.num_samples=5 "
    "fidelity.burn_in=2"
).split()
SHAPES = {"table": (16,), "picture": (1, 4, 4), "plane": (4, 4), "series": (8, 2)}
UNUSUAL, SLOW = "series", pytest.mark.slow
TABLE = np.random.default_rng(0).normal(size=(300, 16))


def small(model: str) -> list[str]:
    """Sizes that a model has, made small."""
    text = options("model")[model].read_text()
    layers = {"hidden: [500, 500]": "model.hidden=[4,3]", "hidden: [": "model.hidden=[4]", "hidden: ": "model.hidden=4"}
    sizes = {**layers, "latent: [": "model.latent=[2]"}
    found = [override for key, override in sizes.items() if f"  {key}" in text]
    return [f"model={model}", *narrow(text), *{one.partition("=")[0]: one for one in reversed(found)}.values()]


def write(x: NDArray[Any]) -> str:
    np.save("data.npy", x)
    return "dataset.path=data.npy"


def figures(run: str) -> dict[str, Any]:
    """Values of log-likelihoods, whether of the model or of a kernel density estimate of its samples."""
    results = json.loads((Path(run) / "results.json").read_text())
    every = {**results.get("likelihood", {}), **{"parzen": results.get("fidelity", {}).get("parzen")}}
    return {name: figure["value"] for name, figure in every.items() if figure}


CHANGES = {"as it is": (0.0, 1.0), "far": (1.7e9, 1.0), "small": (0.0, 1e-6)}


FIRST = {str(build.partners("model", name)["likelihood"]): name for name in reversed(MODELS)}.values()
"""One model for each set of methods that score models: these are what a unit moves. Others wait for `test-all`."""


@pytest.mark.parametrize("kind", ["real", "whole"])
@pytest.mark.parametrize("model", [name if name in FIRST else pytest.param(name, marks=SLOW) for name in MODELS])
def test_origin_and_unit_move_log_likelihoods_as_they_must(model: str, kind: str, dgmrun: Command) -> None:
    r"""Of real numbers, standardised, and of whole numbers: by nothing, and by -D ln c, as p(x) dx = p(cx) d(cx).

    Counts of other things are other data.
    """
    of_samples = ("fidelity", "fidelity.methods=[parzen]", "fidelity.examples=20")
    table = TABLE if kind == "real" else (20 * TABLE).round() + 100
    found: dict[str, dict[str, Any]] = {}
    for name, (origin, unit) in CHANGES.items() if kind == "real" else list(CHANGES.items())[:2]:
        transform = ["dataset.transform=standardise"] if kind == "real" else []
        command = [*small(model), *TINY, write(origin + unit * table), *transform, f"hydra.run.dir={name}", "train"]
        if dgmrun(*command, "likelihood") == 2 and dgmrun(*command, *of_samples) == 2:
            assert not Path(name).exists()
            return
        if json.loads((Path(name) / "results.json").read_text())["dataset"]["kind"] == "counts":
            return
        found[name] = figures(name)
    assert found["as it is"]
    for label, value in found["as it is"].items():
        assert found["far"][label] == pytest.approx(value, abs=1e-3)
        if "small" in found:
            assert found["small"][label] == pytest.approx(value - 16 * math.log(1e-6), abs=1e-3)


@pytest.mark.parametrize("shape", [shape if shape == UNUSUAL else pytest.param(shape, marks=SLOW) for shape in SHAPES])
@pytest.mark.parametrize("model", MODELS)
def test_any_shape_passes_as_a_table_does(model: str, shape: str, dgmrun: Command, capsys: Any) -> None:
    """Training, samples and pictures; what a model does not take is refused before it is trained.

    Those of pictures alone take no other shape, and say so.
    """
    statuses = []
    for kind, x in {"binary": TABLE > 0, "real": TABLE, "counts": np.abs(9 * TABLE).round()}.items():
        if kind == "counts" and 0 in statuses:
            continue
        data = (write(x.reshape(len(x), *SHAPES[shape])), "dataset.transform=none")
        statuses.append(dgmrun(*small(model), *TINY, *data, "train", "sample", f"hydra.run.dir={kind}"))
        assert statuses[-1] == 0 or not Path(kind).exists()
        assert statuses[-1] or np.load(f"{kind}/samples.npz")["x"].shape == (4, *SHAPES[shape])
    assert sorted({*statuses, 0}) in ([0], [0, 2])
    is_of_pictures = "must be [channels, height, width]" in capsys.readouterr().err
    assert 0 in statuses or (is_of_pictures and shape != "picture")


@pytest.mark.slow
@pytest.mark.parametrize("word", ["log_z", "likelihood", "fidelity", "gradients"])
@pytest.mark.parametrize("shape", list(SHAPES))
@pytest.mark.parametrize("model", MODELS)
def test_any_shape_passes_every_stage_or_is_refused_before_training(
    model: str, shape: str, word: str, dgmrun: Command
) -> None:
    for kind, x in {"binary": TABLE > 0, "real": TABLE}.items():
        data = write(x.reshape(len(x), *SHAPES[shape]))
        status = dgmrun(*small(model), *TINY, data, "train", word, f"hydra.run.dir={kind}")
        assert status == 0 or (status == 2 and not Path(kind).exists())
