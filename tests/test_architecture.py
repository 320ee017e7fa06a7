"""Who may import whom, and that every class that can be configured is reached by a YAML file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dgmrun.paths import PACKAGE, config_dir, words

EVERYWHERE = {"protocols", "errors", "rng", "paths", "run", "untrusted", "draws", "trace", "bounds", ""}
MAY_IMPORT = {
    "cli": {"arguments", "children", "completion", "compose", "launcher", "build", "stages", "report"},
    "arguments": set(),
    "compose": {"arguments", "checks"},
    "completion": {"arguments", "compose"},
    "checks": set(),
    "children": set(),
    "launcher": {"children", "report"},
    "build": set(),
    "stages": {"build", "children", "objectives", "gradients", "estimators", "data", "report"},
    "objectives": {"gradients", "nn"},
    "models": {"nn"},
    "nn": set(),
    "estimators": set(),
    "data": set(),
    "report": {"build"},  # `list model=...` asks what fits
    "__main__": {"cli"},
}
ONLY_IN = {
    "lightning": {"objectives", "stages"},
    "hydra": {"arguments", "checks", "compose", "completion", "build", "launcher"},
    "omegaconf": {"checks", "compose", "completion", "launcher"},
}
FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if "configs" not in file.parts]


def part(file: Path) -> str:
    """The house part that a file belongs to."""
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


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_follow_the_house(file: Path) -> None:
    here = part(file)
    for module in imports(file):
        root, *rest = module.split(".")
        if root == "dgmrun" and rest and rest[0] not in {here, "__version__"}:
            assert rest[0] in EVERYWHERE | MAY_IMPORT.get(here, set()), f"{file} imports {module}"
        if root in ONLY_IN:
            assert here in ONLY_IN[root], f"{file} imports {module}"
    if here == "models":
        text = file.read_text()
        assert set(re.findall(r"from dgmrun.protocols import (.*)", text)) <= {"Event"}, (
            "models never import a Protocol"
        )


def test_every_configurable_class_is_reached_by_a_yaml() -> None:
    text = "\n".join(file.read_text() for file in config_dir().rglob("*.yaml"))
    targets = set(re.findall(r"_target_: (\S+)", text))
    for folder, method in (("models", "__init__"), ("objectives", "loss"), ("estimators", "__call__")):
        for file in (PACKAGE / folder).glob("*.py"):
            for node in ast.parse(file.read_text()).body:
                names = {item.name for item in getattr(node, "body", []) if isinstance(item, ast.FunctionDef)}
                bases = {ast.unparse(base) for base in getattr(node, "bases", [])}
                is_final = isinstance(node, ast.ClassDef) and method in names and not bases & {"ABC", "Exception"}
                if (
                    is_final
                    and "abstractmethod" not in ast.unparse(node)
                    and (folder != "models" or "nn.Module" in bases)
                ):
                    assert f"dgmrun.{folder}.{file.stem}.{node.name}" in targets, node.name


@pytest.mark.parametrize("module", ["dgmrun", "dgmrun.cli", "dgmrun.command.help", "dgmrun.tools.compare"])
def test_nothing_heavy_is_imported_before_a_run(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'lightning', 'hydra', 'numpy', 'matplotlib'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("word", [word for word in words() if word != "train"])
def test_evaluation_does_not_import_lightning(word: str) -> None:
    code = f"import sys, dgmrun.stages.{word}; print('lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_only_build_instantiates() -> None:
    callers = [file for file in FILES if re.search(r"\binstantiate\(", file.read_text())]
    assert callers == [PACKAGE / "build.py"]


def test_no_pickle_is_ever_trusted() -> None:
    for file in FILES:
        for call in re.findall(r"(?:torch|numpy|np)\.load\([^\n]*", file.read_text()):
            assert "weights_only=True" in call or "allow_pickle=False" in call, f"{file}: {call}"
