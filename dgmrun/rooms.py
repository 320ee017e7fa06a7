"""Lazy imports of public classes from a package, such as `from dgmrun.models import NADE`."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def classes(package: str, folder: str) -> Callable[[str], Any]:
    """Returns a `__getattr__` for a package that finds a class in the text of its files and imports only that file.

    Args:
        package: name of the package.
        folder: directory of its `__init__.py`.
    """
    files = [file for file in sorted(Path(folder).rglob("*.py")) if not file.name.startswith("_")]

    def found(name: str) -> Any:
        defines = re.compile(rf"^class {name}\b", re.MULTILINE)
        for file in files if name.isidentifier() and name[0].isupper() else ():
            if defines.search(file.read_text()):
                parts = file.relative_to(folder).with_suffix("").parts
                return getattr(import_module(".".join((package, *parts))), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return found
