"""Methods that say how near samples are to data, or predictions to what they should be; one file for each."""

from pathlib import Path

from dgmrun.rooms import classes

__getattr__ = classes(__name__, str(Path(__file__).parent))
