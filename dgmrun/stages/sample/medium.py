"""Samples as they are read or heard: samples.txt of strings, samples.wav of sounds, and their pictures."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping

import numpy
import torch
from torch import Tensor

from dgmrun.errors import printable
from dgmrun.estimators.strings import spelled
from dgmrun.pictures import listing, waveforms
from dgmrun.pictures.drawing import Picture
from dgmrun.protocols.sound import Sound
from dgmrun.run.directory import Run
from dgmrun.run.files import replace
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup
from dgmrun.workbench.strings import language

log = logging.getLogger("dgmrun")
FIRST = 5
"""Number of strings that are shown in the terminal."""
PAUSE = 0.2
"""Seconds of silence between two sounds."""


def write(run: Run, setup: Setup, x: Mapping[str, Tensor]) -> None:
    """Writes samples, in original units, as a line of text each, or beside data as sounds one after another."""
    tongue, sound = language(setup), build.sound(setup.config["dataset"]) if setup.is_of_x else None
    if tongue is not None:
        lines = spelled(tongue, x["x"])
        replace(run.path / "samples.txt", "".join(f"{line}\n" for line in lines).encode())
        for line in lines[:FIRST]:
            log.info("sample      %s", printable(line))
    if sound is not None:
        for name, part in (("samples", x["x"]), ("data", x["data"])):
            replace(run.path / f"{name}.wav", wav(sound, setup.shown(part)))


def picture(setup: Setup, panels: Mapping[str, Tensor]) -> Picture | None:
    """Draws strings as a list of them, sounds as waves, and series as curves; None if examples are neither."""
    tongue, sound = language(setup), build.sound(setup.config["dataset"]) if setup.is_of_x else None
    if tongue is not None:
        return listing.draw({title: spelled(tongue, part) for title, part in panels.items()})
    if sound is not None:
        waves = {title: sound.wave(setup.shown(part)).numpy() for title, part in panels.items()}
        return waveforms.draw(waves, sound.rate)
    if setup.is_of_x and (names := build.curves(setup.config["dataset"])):
        return waveforms.draw({title: part.numpy() for title, part in panels.items()}, names=names)
    return None


def wav(sound: Sound, x: Tensor) -> bytes:
    """Returns a .wav of 16 bits of examples as they are shown, with a pause after each."""
    from scipy.io import wavfile

    waves = sound.wave(x).flatten(1)
    pause = torch.zeros(len(waves), round(PAUSE * sound.rate))
    samples = (torch.cat((waves, pause), 1).flatten() * torch.iinfo(torch.int16).max).round()
    content = io.BytesIO()
    wavfile.write(content, sound.rate, samples.numpy().astype(numpy.int16))
    return content.getvalue()
