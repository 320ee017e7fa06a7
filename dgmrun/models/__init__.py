"""Models, one file per family; they know nothing of training, configurations or files."""

from pathlib import Path

from dgmrun.rooms import classes

__getattr__ = classes(__name__, str(Path(__file__).parent))
