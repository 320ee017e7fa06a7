"""Who may import whom, and that every class that can be configured is reached by a YAML file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dgmrun.paths import PACKAGE, config_dir, words

HOUSE = (
    "cli tools command stages workbench pictures report datasets objectives estimators data models gradients nn run "
    "protocols latent rooms children paths rng errors"
).split()
"""The rooms from top to bottom: a file imports from rooms below its own alone, so that there is no circle."""
MAY_IMPORT = {
    "models": {"nn", "protocols", "latent", "rng", "rooms"},
    "nn": {"protocols", "latent", "rng"},
    "gradients": {"latent", "protocols"},
    "estimators": {"latent", "protocols", "rng", "errors", "rooms"},
    "objectives": {"gradients", "nn", "latent", "protocols", "rng", "rooms"},
    "data": {"protocols", "rng", "errors"},
    "datasets": {"data", "nn", "run", "protocols", "rng", "errors"},
    "report": {"run", "protocols", "errors", "paths"},
}
"""Rooms that know little, and all that they know."""
ROOMS, ARROWS = 24, 87
"""At most so many, and so many pairs of rooms of which one imports the other."""
ONLY_IN = {
    "lightning": {"objectives/lightning.py"},
    "hydra": {"command"},
    "omegaconf": {"command"},
}
FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if "configs" not in file.parts]


def room(file: Path) -> str:
    """The room that a file is in."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found |= {f"{base}.{name.name}" for name in node.names} if base == "dgmrun" else {base}
    return found


def of_ours(file: Path) -> set[str]:
    """The other rooms that a file imports from."""
    found = {module.split(".")[1] for module in imports(file) if module.startswith("dgmrun.")}
    return found - {room(file), "__version__"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_follow_the_house(file: Path) -> None:
    here = room(file)
    if not here.startswith("__"):
        below = HOUSE[HOUSE.index(here) + 1 :]
        assert of_ours(file) <= MAY_IMPORT.get(here, set(below)) <= set(below)
    for module in imports(file):
        places = ONLY_IN.get(module.split(".")[0])
        assert places is None or any(file.is_relative_to(PACKAGE / place) for place in places), module
    if here == "models":
        names = re.findall(r"from dgmrun.protocols.* import (.*)", file.read_text())
        assert set(", ".join(names).split(", ")) <= {"Event", "Batch", ""}, "models never import a Protocol"


def test_the_house_has_few_rooms_and_few_arrows() -> None:
    arrows = {(room(file), other) for file in FILES for other in of_ours(file)}
    assert len({room(file) for file in FILES}) <= ROOMS
    assert len(arrows) <= ARROWS


def test_every_configurable_class_is_reached_by_a_yaml() -> None:
    text = "\n".join(file.read_text() for file in config_dir().rglob("*.yaml"))
    targets = set(re.findall(r"_target_: (\S+)", text))
    for folder, method in (("models", "__init__"), ("objectives", "loss"), ("estimators", "__call__")):
        for file in (PACKAGE / folder).rglob("*.py"):
            for node in ast.parse(file.read_text()).body:
                names = {item.name for item in getattr(node, "body", []) if isinstance(item, ast.FunctionDef)}
                bases = {ast.unparse(base) for base in getattr(node, "bases", [])}
                is_final = (
                    isinstance(node, ast.ClassDef)
                    and method in names
                    and not bases & {"ABC", "Exception", "LightningModule"}
                )
                if (
                    is_final
                    and "abstractmethod" not in ast.unparse(node)
                    and (folder != "models" or "nn.Module" in bases)
                ):
                    module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
                    assert f"dgmrun.{module}.{node.name}" in targets, node.name


@pytest.mark.parametrize("module", ["dgmrun", "dgmrun.cli", "dgmrun.command.help", "dgmrun.tools.compare"])
def test_nothing_heavy_is_imported_before_a_run(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'lightning', 'hydra', 'numpy', 'matplotlib'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_evaluation_and_training_import_what_they_use_alone() -> None:
    evaluating = [word for word in words() if word != "train"]
    imported = "; ".join(f"import dgmrun.stages.{word}" for word in evaluating)
    work = "import dgmrun.workbench.scoring, dgmrun.stages.sample.draw, dgmrun.stages.gradients.measure"
    heavy = ["torchmetrics", "torchvision", "scipy.signal", "scipy.stats", "sklearn", "matplotlib.pyplot"]
    of_training = ["lightning", "torch._dynamo", "torch.distributed.fsdp", "sympy"]
    code = f"""import sys; from dgmrun.command import process; process.settle()
{imported}; print('torch' in sys.modules); {work}
print({{*{heavy + of_training}}} & {{*sys.modules}})
from pathlib import Path; from dgmrun.datasets import digits; digits.load(Path()); import dgmrun.stages.train.fit
print({{*{heavy}}} & {{*sys.modules}})"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "set()", "set()"]


def test_every_room_gives_its_classes_by_name() -> None:
    from dgmrun.estimators.log_z import AIS
    from dgmrun.models import NADE
    from dgmrun.protocols import Event

    assert [each.__module__ for each in (AIS, NADE, Event)] == [
        *("dgmrun.estimators.log_z.ais", "dgmrun.models.nade", "dgmrun.protocols.values")
    ]
    with pytest.raises(ImportError):
        from dgmrun.models import Nobody  # noqa: F401


def test_no_pickle_is_ever_trusted() -> None:
    for file in FILES:
        for call in re.findall(r"(?:torch|numpy|np)\.load\([^\n]*", file.read_text()):
            assert "weights_only=True" in call or "allow_pickle=False" in call, f"{file}: {call}"
