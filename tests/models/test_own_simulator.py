"""Simulators of the user's own that fail or give what they must not: one line with the key and the place."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.distributions import Normal

from dgmrun import train
from dgmrun.errors import Mistake, RunFailed
from dgmrun.models.simulator import Simulator
from dgmrun.nn.simulate import simulated
from dgmrun.paths import options
from dgmrun.pictures.drawing import png
from dgmrun.protocols.contrast import SimulatorError
from dgmrun.protocols.values import Event
from dgmrun.stages.sample import medium

Simulate = Callable[[Tensor], object]
Z = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
OWN = """
class Own:
    def __init__(self, fault, least): self.fault, self.least = fault, least
    def __call__(self, z):
        return z if len(z) < self.least or self.fault == "none" else {}["rate"]
"""
DATASET = """
_target_: dgmrun.datasets.simulated.load
name: mine
sizes: [40, 20, 20]
latent: 2
simulate:
  _target_: ownsimulator.Own
  fault: none
  least: 3
event: null
labels: null
pixel_order: null
binarisation: none
transform: none
batch_size: 10
"""
MODEL = """# @package _global_
defaults: [override /objective: lfvi, override /optimizer: adam, override /dataset: mine]
model:
  _target_: dgmrun.models.simulator.Simulator
  simulate:
    _target_: ownsimulator.Own
    fault: none
    least: 3
  latent: 2
"""


def needs(z: Tensor, units: int) -> Tensor:
    return z[:, :units]


def fails(z: Tensor) -> Tensor:
    return torch.distributions.Normal(z, -1.0).sample()


@pytest.mark.parametrize(
    ("simulate", "message"),
    [
        (lambda z: torch.cat((z, z[:1])), "must give x [2, 2] for 2 z, as data are, but gives [3, 2]"),
        (lambda z: z[:, 0], "must give x [2, 2] for 2 z, as data are, but gives [2]"),
        (lambda z: z.numpy(), "must give x as a tensor of torch, but gives ndarray"),
        (lambda z: z.tolist(), "must give x as a tensor of torch, but gives list"),
        (lambda z: None, "must give x as a tensor of torch, but gives NoneType"),
        (lambda z: torch.complex(z, z), "must give real numbers, but gives complex64"),
        (lambda z: z / (z - 3), "gave numbers that are not finite, as at z = [3, 4]"),
        (lambda z: z.double() * 1e300, "gave numbers that are not finite, as at z = [1, 2]"),
        (
            lambda z: {}["rate"],
            f"must map z [2, 2] (model.latent=2) to x, but raises KeyError: 'rate' ({__file__}, line ",
        ),
        (lambda z: 1 // 0, "raises ZeroDivisionError: integer division or modulo by zero (" + __file__),
        (lambda z: exit(3), "raises SystemExit: 3 (" + __file__),
        (fails, f", line {fails.__code__.co_firstlineno + 1})"),
        (
            needs,
            "raises TypeError: needs() missing 1 required positional argument: 'units' (its keys are all arguments",
        ),
    ],
)
def test_what_a_simulator_must_not_do_is_said_of_its_key(simulate: Simulate, message: str) -> None:
    with pytest.raises(SimulatorError) as raised:
        simulated("model", simulate, Z, (2,))
    assert str(raised.value).startswith("`model.simulate` ")
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_of_data_any_shape_will_do() -> None:
    assert simulated("dataset", lambda z: z > 1, Z, None).tolist() == [[0, 1], [1, 1]]
    assert simulated("dataset", lambda z: z[:, None].long(), Z, None).shape == (2, 1, 2)
    for wrong, its in ((Z[:, 0], "[2]"), (Z.sum(), "[]"), (Z[:1], "[1, 2]")):
        with pytest.raises(SimulatorError) as raised:
            simulated("dataset", lambda z, x=wrong: x, Z, None)
        assert str(raised.value) == f"`dataset.simulate` must give x [2, ...] for 2 z, but gives {its}"


def test_a_simulator_that_changes_its_z_does_not_change_those_that_are_learned() -> None:
    model = Simulator(Event((2,), "real"), lambda z: z.mul_(0) + 1, latent=2)
    z, x = model.simulated(50)
    assert (z != 0).all()
    assert (x == 1).all()


def test_a_posterior_that_fails_is_told_by_its_line() -> None:
    class Known:
        def __call__(self, z: Tensor) -> Tensor:
            return z

        def posterior(self, x: Tensor) -> Normal:
            return Normal(x / 0 * 0, 1.0, validate_args=True)

    line = Known.posterior.__code__.co_firstlineno + 1
    with pytest.raises(ValueError, match=rf"`model\.simulate` must have a posterior .* ValueError: .*, line {line}\)"):
        Simulator(Event((2,), "real"), Known(), latent=2)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of configuration files, beside it a simulator that fails of three z or more."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in (("dataset", DATASET), ("model", MODEL)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "mine.yaml").write_text(text)
    (tmp_path / "ownsimulator.py").write_text(OWN)
    return "--config-dir=mine"


WORDS = ("model=mine", "trainer.max_steps=2", "trainer.validate_every_n_steps=2", "hydra.run.dir=run")


@pytest.mark.usefixtures("dgmrun")
def test_a_run_ends_in_one_line_and_its_log_has_the_trace(mine: str) -> None:
    with pytest.raises(
        Mistake, match=r"`dataset\.simulate` must map z \[40, 2\] .* KeyError: 'rate' \(.*ownsim.*py, line"
    ):
        train(mine, *WORDS, "dataset.simulate.fault=key")
    with pytest.raises(
        RunFailed, match=r"`model\.simulate` must map z \[10, 2\] .* KeyError: 'rate' \(.*ownsim.*py, line"
    ):
        train(mine, *WORDS, "model.simulate.fault=key")
    assert "Traceback" in Path("run/run.log").read_text()


@pytest.mark.drawn
def test_series_are_drawn_as_curves_of_one_scale() -> None:
    dataset = yaml.safe_load(options("dataset")["lotka_volterra"].read_text())
    setup: Any = SimpleNamespace(is_of_x=True, event=Event((2, 30), "real"), config={"dataset": dataset})
    panels = {"data": torch.zeros(3, 2, 30), "samples": torch.full((3, 2, 30), 9.0)}
    assert medium.picture(setup, panels) is None, "summaries are no curves"
    dataset["simulate"]["observed"] = "series"
    picture = medium.picture(setup, panels)
    assert picture is not None
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["prey", "predators"]
    assert picture.axes[0].get_ylim()[1] > 9 > 0 > picture.axes[0].get_ylim()[0]
    assert {axes.get_ylim() for axes in picture.axes} == {picture.axes[0].get_ylim()}
    assert {len(axes.get_lines()) for axes in picture.axes} == {2}
    with Image.open(io.BytesIO(png(picture))) as drawn:
        assert min(drawn.size) > 300
