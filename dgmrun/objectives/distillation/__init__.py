"""Distillation objectives, by which students are trained to match their teachers."""

from pathlib import Path

from dgmrun.rooms import classes

__getattr__ = classes(__name__, str(Path(__file__).parent))
