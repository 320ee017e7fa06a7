r"""Your own sounds: `dataset=audio dataset.path=FOLDER`, of .wav files in it and in its subfolders.

Files of 8, 16, 24, 32 bits or floating point are read, by SciPy, which takes more of them than the standard library.
Of several channels, the mean is taken. Each file is cut into windows of `dataset.length` samples; what is left at its
end is left out, as are files that are shorter or silent. Splits are of files, never of windows, so that no recording is
in two of them: by folders as dataset=images has them, or else 80/10/10 % of a permutation, the same for every run.

An amplitude a from -1 to 1 becomes one of 256 levels k by the mu-law, mu = 255, as loudness is heard:

.. math::  k = \mathrm{round}\Big(\frac{\mu}{2} (1 + f(a))\Big), \qquad
           f(a) = \mathrm{sign}(a) \frac{\ln(1 + \mu |a|)}{\ln(1 + \mu)}

x is k / 255, as grey levels are, so that the transforms for these are for sounds, too: `levels`, the default, for
models of 256 levels, `dequantise` or `logit` for those of real numbers, all in nats of the same levels.

References:
    ITU-T (1988), Recommendation G.711, pulse code modulation of voice frequencies.
    van den Oord et al. (2016), WaveNet, https://arxiv.org/abs/1609.03499, section 2.2.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmrun.data.folders import parts
from dgmrun.data.splits import Split, Splits
from dgmrun.errors import Mistake, printable
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.sound import Sound
from dgmrun.protocols.text import counted
from dgmrun.protocols.values import Event
from dgmrun.run.files import visible

log = logging.getLogger("dgmrun")
MU = 255
FULL_SCALE = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "f4": 1.0, "f8": 1.0}
"""Largest amplitude of each type of samples; those of 24 bits come as 32."""
CUT = "ffmpeg -i FILE -f segment -segment_time 60 PART%03d.wav cuts a long one"
Amplitudes = NDArray[np.float64]


def load(data_dir: Path, path: str, length: int, rate: int | None) -> Splits:
    """Loads x [N, length], levels / 255.

    Args:
        data_dir: unused.
        path: path of the folder.
        length: samples of a window.
        rate: samples of a second that every file must have; None for those of the first file.

    Raises:
        Mistake: a setting is invalid, a file cannot be read or has another rate, or a split has no window.
    """
    event(path, length, rate)
    folder, expected, left_out = Path(path).expanduser(), sound(path, length, rate).rate, Counter[str]()
    windows: dict[Path, Tensor] = {}
    for file in tracked(_files(folder)):
        found = _windows(file, length, expected, left_out)
        if len(found):
            windows[file] = found
    what = f"sounds of {length} samples or more that are not silent"
    files, how = parts(folder, [*windows], what, f"dataset.length=N takes shorter ones; {CUT}")
    splits = {split: Split(torch.cat([windows[file] for file in its])) for split, its in files.items()}
    sizes = ", ".join(f"{len(split.x)} {name}" for name, split in splits.items())
    each = f"windows of {length} samples, {length / expected:.3g} s, of {counted(len(windows), 'file')}"
    further = "".join(f"; {what}: {number}" for what, number in left_out.items() if number)
    log.info("data        %s: %s %s; %s%s", printable(path), sizes, each, how, further)
    return splits


def event(path: str, length: int, rate: int | None) -> Event:
    """Returns the event of a window.

    Raises:
        Mistake: a setting is invalid.
    """
    for key, value in (("length", length), ("rate", rate)):
        if not (key == "rate" and value is None) and (type(value) is not int or value < 1):
            of = "null or " if key == "rate" else ""
            raise Mistake(f"`dataset.{key}` must be {of}a whole number of samples of at least 1, but is {value}")
    return Event((length,), "unit")


def sound(path: str, length: int, rate: int | None) -> Sound:
    """Returns how a window sounds.

    Raises:
        Mistake: there is no .wav file, or the first cannot be read.
    """
    return Sound(rate or _read(_files(Path(path).expanduser())[0])[0], decoded)


def encoded(amplitudes: Amplitudes) -> Tensor:
    """Returns the levels of amplitudes, k / 255, float32; what is beyond full scale is as at full scale."""
    a = amplitudes.clip(-1, 1)
    companded = np.sign(a) * np.log1p(MU * np.abs(a)) / math.log1p(MU)
    return torch.from_numpy(np.floor((companded + 1) / 2 * MU + 0.5)).float() / MU


def decoded(x: Tensor) -> Tensor:
    """Returns the amplitudes of levels k / 255, from -1 to 1."""
    companded = 2 * x - 1
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(MU)) / MU


def _files(folder: Path) -> Sequence[Path]:
    files = [file for file in visible(folder) if file.suffix.lower() == ".wav"] if folder.is_dir() else []
    if not files:
        there = f"there is no .wav in {folder}" if folder.is_dir() else f"there is no folder {folder}"
        cure = "ffmpeg -i FILE OTHER.wav makes one of most kinds of sounds"
        raise Mistake(f"`dataset.path` must be a folder of sounds, but {there}", cure)
    return files


def _windows(file: Path, length: int, expected: int, left_out: Counter[str]) -> Tensor:
    """Returns the windows of a file, and counts what is left out of it, or changed.

    Raises:
        Mistake: it cannot be read, or has another rate.
    """
    rate, amplitudes = _read(file)
    if rate != expected:
        cure = f"ffmpeg -i {quote(str(file))} -ar {expected} OTHER.wav"
        raise Mistake(f"`dataset.rate` must be that of every file, but {file} has {rate} and not {expected}", cure)
    if amplitudes.ndim > 1:
        left_out["files of several channels, whose mean is taken"] += 1
        amplitudes = amplitudes.mean(1)
    is_silent = len(amplitudes) == 0 or amplitudes.min() == amplitudes.max()
    whole = 0 if is_silent else len(amplitudes) // length * length
    left_out["silent files left out"] += is_silent
    left_out["shorter files left out"] += not is_silent and not whole
    left_out["samples at ends of files left out"] += len(amplitudes) - whole if whole else 0
    left_out["samples beyond full scale, taken as at it"] += int((np.abs(amplitudes[:whole]) > 1).sum())
    return encoded(amplitudes[:whole]).reshape(-1, length)


def _read(file: Path) -> tuple[int, Amplitudes]:
    """Returns the samples of a second, and the amplitudes [samples] or [samples, channels].

    Raises:
        Mistake: it cannot be read.
    """
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of a file that are no sound
            warnings.filterwarnings("error", "Reached EOF prematurely")
            rate, samples = wavfile.read(file)
        scale = FULL_SCALE[samples.dtype.str[1:]]
        amplitudes = samples.astype(np.float64) / scale - (samples.dtype.kind == "u")
        if not np.isfinite(amplitudes).all():
            raise ValueError("it has a sample that is no number")
    except Exception as error:  # a damaged file can fail in any way
        cure = f"ffmpeg -i {quote(str(file))} -c:a pcm_s16le OTHER.wav, or leave it out"
        said = "its samples have no known size" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise Mistake(f"`dataset.path` must hold sounds that can be read, but {file} is not: {said}", cure) from error
    return int(rate), amplitudes
