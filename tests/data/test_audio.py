"""The user's own sounds, well formed and not."""

from __future__ import annotations

import io
import logging
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from dgmrun.data.prepare import prepare
from dgmrun.datasets import audio
from dgmrun.datasets.audio import decoded, encoded, event, load
from dgmrun.errors import Mistake
from dgmrun.stages.sample.medium import wav
from tests.conftest import NORMAL

Command = Callable[..., int]
RATE = 8000
TONE = np.sin(np.arange(100) * 0.3) * 0.9


def sound(file: Path, amplitudes: Any = TONE, rate: int = RATE) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(file, rate, np.asarray(amplitudes) if amplitudes is not TONE else TONE.astype(np.float32))
    return file


def folder(place: Path, number: int = 10) -> str:
    """Sounds of growing loudness, so that each is known by its own."""
    for each in range(number):
        sound(place / f"{each:02}.wav", (TONE * (each + 1) / number).astype(np.float32))
    return str(place)


def loaded(path: Any, length: int = 20, rate: int | None = None) -> dict[str, torch.Tensor]:
    return {name: split.x for name, split in load(Path(), str(path), length, rate).items()}


def test_levels_are_those_of_the_mu_law() -> None:
    """Of van den Oord et al., at both ends and in the middle; each level is its own, a quiet one to 1 part in 5000."""
    assert (encoded(np.array([-1.0, -2.0, 0.0, 1.0, 3.0])) * 255).tolist() == [0, 0, 128, 255, 255]
    k = torch.arange(256) / 255
    assert torch.equal(encoded(decoded(k).double().numpy()), k)
    a = np.linspace(-1, 1, 1001)
    error = (decoded(encoded(a)).double() - torch.from_numpy(a)).abs()
    assert (error <= (torch.from_numpy(np.abs(a)) + 1 / 255) * 0.0221).all()  # half a step: 256^(1/255) = 1.0220


@pytest.mark.parametrize("bits", [8, 16, 24, 32, "float32", "float64"])
def test_every_kind_of_samples_has_the_same_levels(bits: Any, tmp_path: Path) -> None:
    a = np.linspace(-0.99, 0.99, 60)
    file = tmp_path / "a.wav"
    if isinstance(bits, str):
        sound(file, a.astype(bits))
    else:
        whole = np.floor(a * 2 ** (bits - 1)).astype(np.int64)
        each = (whole + 128 if bits == 8 else whole).astype("<i8")[:, None].view(np.uint8)[:, : bits // 8]
        with wave.open(str(file), "wb") as stream:
            stream.setparams((1, bits // 8, RATE, len(a), "NONE", ""))
            stream.writeframes(each.tobytes())
    rate, found = audio._read(file)
    assert rate == RATE
    assert np.abs(found - a).max() <= (1 / 128 if bits == 8 else 1e-4)


def test_windows_of_a_file_stay_in_one_split(tmp_path: Path) -> None:
    """100 samples are 4 windows of 23, and 8 samples are left."""
    x = loaded(folder(tmp_path), 23)
    assert {name: len(its) for name, its in x.items()} == {"train": 32, "valid": 4, "test": 4}
    loudest = {name: its.reshape(-1, 4 * 23).amax(1).tolist() for name, its in x.items()}
    assert len({level for each in loudest.values() for level in each}) == 10
    expected = encoded((TONE[: 4 * 23]).astype(np.float32).astype(np.float64))
    rows = torch.cat([its.reshape(-1, 4 * 23) for its in x.values()])
    assert (rows == expected).all(1).sum() == 1
    ready = prepare(
        load(Path(), str(tmp_path), 23, None),
        event=event(str(tmp_path), 23, None),
        labels=None,
        binarisation="none",
        transform="levels",
        pixel_order=None,
    )
    assert torch.equal(ready.splits["test"].x / 255, x["test"])


def test_folders_named_after_splits_are_these(tmp_path: Path) -> None:
    for name, number in (("train", 3), ("dev", 1), ("test", 2)):
        folder(tmp_path / name, number)
    assert [len(its) for its in loaded(tmp_path, 50).values()] == [6, 2, 4]


def test_what_is_left_out_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder(tmp_path, 4)
    sound(tmp_path / "short.WAV", TONE[:19].astype(np.float32))
    sound(tmp_path / "silent.wav", np.zeros(100, np.int16))
    sound(tmp_path / "loud.wav", np.stack([TONE * 2, TONE * 2], 1))
    with caplog.at_level(logging.INFO, "dgmrun"):
        assert sum(map(len, loaded(tmp_path, 30).values())) == 15
    said = "windows of 30 samples, 0.00375 s, of 5 files; split at random"
    counts = ("silent files left out: 1", "shorter files left out: 1", "samples at ends of files left out: 50")
    of_channels = "files of several channels, whose mean is taken: 1"
    loud = f"samples beyond full scale, taken as at it: {int((np.abs(TONE[:90]) > 0.5).sum())}"
    assert all(each in caplog.text for each in (said, *counts, of_channels, loud))


def test_what_is_no_such_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    def said(cause: str, **settings: Any) -> None:
        with pytest.raises(Mistake, match=cause) as caught:
            loaded(tmp_path / "a", **settings)
        assert caught.value.hint

    said("must be a folder of sounds, but there is no folder")
    (tmp_path / "a").mkdir()
    said(r"must be a folder of sounds, but there is no \.wav in")
    folder(tmp_path / "a", 2)
    said("at least 3 sounds of 20 samples or more that are not silent, but .* has 2")
    folder(tmp_path / "a", 3)
    said("but .* has 0", length=101)
    sound(tmp_path / "a" / "z.wav", rate=16000)
    said("`dataset.rate` must be that of every file, but .*z.wav has 16000 and not 8000")
    said("`dataset.rate` must be that of every file, but .*00.wav has 8000 and not 16000", rate=16000)
    sound(tmp_path / "a" / "z.wav", np.array([0.0, np.nan]))
    said("must hold sounds that can be read, but .*z.wav is not: it has a sample that is no number")
    (tmp_path / "a" / "z.wav").write_bytes(b"RIFF no sound")
    said("must hold sounds that can be read, but .*z.wav is not")


@pytest.mark.parametrize(("length", "rate"), [(0, None), (1.5, None), (4, 0), (None, 4)])
def test_sizes_are_whole_numbers(length: Any, rate: Any) -> None:
    with pytest.raises(Mistake, match=r"`dataset.(length|rate)` must be (null or )?a whole number of samples"):
        event("", length, rate)


def test_a_written_sound_is_the_one_that_was_read(tmp_path: Path) -> None:
    path = folder(tmp_path, 3)
    its = audio.sound(path, 100, None)
    x = loaded(path, 100)["train"]
    rate, samples = wavfile.read(io.BytesIO(wav(its, x)))
    assert (rate, samples.dtype, len(samples)) == (RATE, np.int16, 100 + RATE // 5)
    again = encoded(samples[:100] / np.iinfo(np.int16).max)
    assert ((again - x).abs() * 255 <= 1.001).all(), "to a level, by the rounding to 16 bits"
    assert not samples[100:].any()


@pytest.mark.drawn
def test_samples_can_be_heard_and_seen(dgmrun: Command, tmp_path: Path) -> None:
    data = ("dataset=audio", f"dataset.path={folder(tmp_path / 'sounds')}", "dataset.length=25", "dataset.batch_size=8")
    words = ("trainer.max_steps=2", "sample.count=3", "train", "likelihood", "sample", "hydra.run.dir=run")
    assert dgmrun(*NORMAL, *data, "dataset.transform=dequantise", *words) == 0
    for name in ("samples", "data"):
        rate, samples = wavfile.read(tmp_path / "run" / f"{name}.wav")
        assert (rate, len(samples)) == (RATE, 3 * (25 + RATE // 5))
    with np.load(tmp_path / "run" / "figures" / "samples.npz") as numbers:
        assert (numbers["titles"].tolist(), numbers["panel_1"].shape) == (["data", "samples"], (3, 25))
        assert np.abs(numbers["panel_2"]).max() <= 1


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = Path(folder(tmp_path)) / "03.wav"
    whole.write_bytes(whole.read_bytes()[:-13])
    with pytest.raises(Mistake, match=r"`dataset.path` must hold sounds that can be read, but .*03.wav is not: "):
        loaded(tmp_path)
