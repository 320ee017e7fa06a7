"""What is imported in place of torchmetrics and torch's compiler, where a process is for one command of dgmrun alone.

Lightning imports torchmetrics, to recognise its metrics among what a module logs, and torchmetrics imports torchvision,
scipy.signal and pyplot, half of the time. Objectives log through callbacks of ours, so that Lightning meets no
metric. In a notebook it may meet those of the user's own modules, and imports the true ones.

Lightning and torch's optimisers import the compiler, a third of what is left, to recognise modules that are compiled
and to have it leave optimisers aside, which does nothing where it compiles nothing. It is imported once asked for more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

METRICS, COMPILER = "torchmetrics", "torch._dynamo"
is_wanted = False
"""Whether this process is for one command alone, which the command line sets before anything imports Lightning."""


class Compiler(ModuleType):
    """Stands for torch's compiler until it is asked for what this class has not, such as by `torch.compile`."""

    OptimizedModule = type("OptimizedModule", (), {})

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []  # a package, all of whose modules are found by Parts

    @staticmethod
    def graph_break() -> None:
        """Ends what is compiled into one: nothing is."""

    @staticmethod
    def disable(fn: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Returns a function that is not compiled: the same."""
        return fn

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(true_compiler(), name)


class Parts(MetaPathFinder, Loader):
    """Finds the modules of the true compiler where a Compiler stands for it: importing it has loaded them."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """Returns the specification of a module of the compiler, if the compiler itself loads it."""
        if not name.startswith(f"{COMPILER}.") or type(sys.modules.get(COMPILER)) is not Compiler:
            return None
        true_compiler()
        return ModuleSpec(name, self) if name in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Returns a module that is loaded."""
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Does nothing: it is loaded."""


def true_compiler() -> ModuleType:
    """Imports the true compiler, which takes the place of a Compiler."""
    if type(sys.modules.get(COMPILER)) is Compiler:
        del sys.modules[COMPILER]
    return import_module(COMPILER)


def import_lightning() -> None:
    """Imports Lightning with two empty classes as all of torchmetrics, and a Compiler, if that is wanted.

    What was imported before is used. A release of Lightning that asks for more is left to be imported as it is.
    """
    if not is_wanted or METRICS in sys.modules:
        return
    from importlib.metadata import version

    metrics = ModuleType(METRICS)
    metrics.__dict__.update(__version__=version(METRICS), Metric=type("", (), {}), MetricCollection=type("", (), {}))
    sys.modules[METRICS] = metrics
    if COMPILER not in sys.modules:
        sys.modules[COMPILER] = Compiler(COMPILER)
        sys.meta_path.insert(0, Parts())
    try:
        import_module("lightning")
    except Exception:
        for half in [module for module in sys.modules if module.partition(".")[0] == "lightning"]:
            del sys.modules[half]
    finally:
        del sys.modules[METRICS]
