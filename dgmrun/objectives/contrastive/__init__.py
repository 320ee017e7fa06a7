"""Objectives of unnormalised densities."""

from pathlib import Path

from dgmrun.rooms import classes

__getattr__ = classes(__name__, str(Path(__file__).parent))
