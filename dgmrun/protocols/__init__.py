"""Interfaces between the parts: the values that they exchange, and Protocols of what they can do."""

from pathlib import Path

from dgmrun.rooms import classes

__getattr__ = classes(__name__, str(Path(__file__).parent))
