"""What the command line changes of its own process, and what of a notebook's is left alone."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import dgmrun as package
from dgmrun.command import process
from dgmrun.errors import Mistake
from dgmrun.objectives import stand_in
from tests.conftest import Command


def test_a_command_settles_its_process_and_python_does_not(dgmrun: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[int] = []
    monkeypatch.setattr(process, "settle", lambda: settled.append(1))
    with pytest.raises(Mistake):
        package.train("model=none")
    assert settled == []
    assert dgmrun("--version") == 0
    assert settled == [1]


class Imports:
    """`import_module` of a Lightning that asks torchmetrics for some names, among modules of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.names, self.modules, self.met = names, {"lightnings": ModuleType("lightnings")}, 0
        monkeypatch.setattr(stand_in, "sys", SimpleNamespace(modules=self.modules))
        monkeypatch.setattr(stand_in, "import_module", self)

    def __call__(self, name: str) -> None:
        self.met += 1
        self.modules[name] = self.modules[f"{name}.half"] = ModuleType(name)
        for asked in self.names:
            getattr(self.modules["torchmetrics"], asked)
        self.modules[f"{name}.whole"] = ModuleType(name)


def test_lightning_meets_a_stand_in_only_where_one_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = Imports(monkeypatch, "Metric", "MetricCollection", "__version__")
    monkeypatch.setattr(stand_in, "is_wanted", False)
    stand_in.import_lightning()
    assert imports.met == 0
    monkeypatch.setattr(stand_in, "is_wanted", True)
    imports.modules["torchmetrics"] = true = ModuleType("torchmetrics")
    stand_in.import_lightning()
    assert (imports.met, imports.modules.pop("torchmetrics")) == (0, true)
    stand_in.import_lightning()
    assert imports.met == 1
    assert imports.modules.keys() == {"lightnings", "lightning", "lightning.half", "lightning.whole"}


def test_a_lightning_that_asks_for_more_is_left_to_be_imported_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = Imports(monkeypatch, "Metric", "functional")
    monkeypatch.setattr(stand_in, "is_wanted", True)
    stand_in.import_lightning()
    assert imports.met == 1
    assert imports.modules.keys() == {"lightnings"}


LESS = """
stand_in.is_wanted, true = True, stand_in.import_module
def half(name):
    del sys.modules["torchmetrics"].MetricCollection
    return true(name)
stand_in.import_module = half
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", LESS])
def test_metrics_of_the_users_own_modules_are_logged(before: str, tmp_path: Path) -> None:
    """In a notebook that has imported what trains; and where Lightning has failed on the stand-in."""
    code = f"""
import sys
from dgmrun.objectives import stand_in
{before}
import dgmrun.stages.train.fit
import lightning, torch, torchmetrics
class Own(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.mean = torch.nn.Linear(1, 1), torchmetrics.MeanMetric()
    def training_step(self, batch):
        self.mean(3.0)
        self.log("mean", self.mean)
        return self.layer(batch).sum()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer = lightning.Trainer(max_steps=2, accelerator="cpu", **quiet)
trainer.fit(Own(), torch.utils.data.DataLoader(torch.ones(2, 1)))
print(float(trainer.callback_metrics["mean"]))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "3.0"


MEMORY = """
import ctypes
from pathlib import Path
from dgmrun.command import process
C = ctypes.CDLL(None)
C.malloc.restype, C.malloc.argtypes, C.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
def kept(pieces, size):
    before = resident()
    taken = [C.malloc(size << 20) for _ in range(pieces)]
    for piece in taken:
        ctypes.memset(piece, 1, size << 20)
    assert resident() - before > 0.9 * pieces * size
    for piece in reversed(taken):
        C.free(piece)
    return resident() - before
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library")
@pytest.mark.parametrize(("first", "large", "small"), [("", "low", "low"), ("process.keep_memory()", "low", "high")])
def test_freed_memory_is_kept_but_that_of_large_pieces(first: str, large: str, small: str) -> None:
    code = f"{MEMORY}\n{first}\nprint(*('high' if kept(*each) > 50 else 'low' for each in ((2, 40), (30, 2))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [large, small]
