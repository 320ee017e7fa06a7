"""Methods that measure how close samples are to data, or predictions to labels; one file for each."""

from pathlib import Path

from dgmrun.rooms import classes

__getattr__ = classes(__name__, str(Path(__file__).parent))
