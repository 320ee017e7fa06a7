"""Labels of the user's own files: classes, attributes and captions; what is recognised, said and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgmrun.datasets import file
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

X = np.random.default_rng(0).normal(size=(20, 3))
BITS = np.tile([[1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 0]], (5, 1))
REAL = X[:, :2] * 3
CAPTIONS = np.tile([[3, 1, 2, 0], [2, 0, 0, 0], [0, 0, 0, 0], [1, 1, 4, 5]], (5, 1))
RATINGS = np.tile([[1, 5], [2, 3]], (10, 1))
ONE_HOT = np.eye(4)[np.arange(20) % 4]


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., str]:
    """Writes x with labels y, and returns the path."""

    def write(y: Any) -> str:
        np.savez(tmp_path / "own.npz", x=X, y=y, split=np.repeat(["train", "valid", "test"], [14, 3, 3]))
        return str(tmp_path / "own.npz")

    return write


@pytest.mark.parametrize(
    ("y", "kind", "event", "said"),
    [
        (BITS, None, Event((3,), "binary"), "3 binary attributes"),
        (BITS, "real", Event((3,), "real"), "3 real attributes from 0 to 1"),
        (ONE_HOT, None, Event((), "categorical", 4), "labels by the place of the 1 among 4, 4 classes: 0 1 2 3"),
        (ONE_HOT, "binary", Event((4,), "binary"), "4 binary attributes"),
        (REAL, None, Event((2,), "real"), "2 real attributes from -"),
        (CAPTIONS, None, Event((4,), "tokens", 6), "captions of up to 4 words, numbered to 5 (dataset.label_kind=real"),
        (CAPTIONS, "real", Event((4,), "real"), "4 real attributes from 0 to 5 (dataset.label_kind=tokens"),
        (RATINGS, None, Event((2,), "real"), "2 real attributes from 1 to 5 (dataset.label_kind=tokens"),
        (RATINGS, "tokens", Event((2,), "tokens", 6), "captions of up to 2 words, numbered to 5"),
        (X[:, 0], "real", Event((1,), "real"), "1 real attribute from -"),
    ],
)
def test_what_labels_are_is_recognised_or_told(
    y: Any, kind: str | None, event: Event, said: str, own: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    path = own(y)
    assert file.labels(path, label_kind=kind) == event
    with caplog.at_level("INFO", logger="dgmrun"):
        splits = file.load(Path(), path, label_kind=kind)
    assert said in caplog.text
    found = splits["test"].y
    assert found is not None
    expected = y[17:].argmax(1) if event.kind == "categorical" else y[17:].reshape(3, *event.shape)
    torch.testing.assert_close(found.to(event.dtype), torch.from_numpy(expected).to(event.dtype), rtol=0, atol=0)


def lacking(y: Any, value: float) -> Any:
    """Labels of which one is something else."""
    y = y.astype(float)
    y[1, 1] = value
    return y


@pytest.mark.parametrize(
    ("y", "kind", "must", "but", "hint"),
    [
        (lacking(REAL, np.nan), None, "numbers that 32 bits hold", "none", "dataset.missing=drop"),
        (lacking(REAL, np.inf), None, "numbers that 32 bits hold", "inf", "dataset.label=null"),
        (lacking(BITS, 2.0), "binary", "0 or 1", "2", "dataset.label_kind=real"),
        (lacking(CAPTIONS, -1.0), "tokens", "whole numbers from 0 to 99999", "-1", "dataset.label_kind=real"),
        (lacking(CAPTIONS, 1e9), "tokens", "whole numbers from 0 to 99999", "1e\\+09", "dataset.label_kind=real"),
        (lacking(CAPTIONS, np.nan), "tokens", "whole numbers from 0 to 99999", "none", "dataset.missing=drop"),
    ],
)
def test_a_wrong_label_is_found_in_its_row(
    y: Any, kind: str | None, must: str, but: str, hint: str, own: Callable[..., str]
) -> None:
    with pytest.raises(Mistake, match=rf"`dataset.label` must have {must} .*at row 1 .*but has {but}") as caught:
        file.labels(own(y), label_kind=kind)
    assert hint in (caught.value.hint or "")


def test_a_word_after_the_end_of_a_caption_is_refused(own: Callable[..., str]) -> None:
    y = CAPTIONS.copy()
    y[2, 3] = 7
    with pytest.raises(Mistake, match=r"must have only 0 after a 0, the end of a caption, at row 2 .*but has 7"):
        file.labels(own(y), label_kind="tokens")
    assert file.labels(own(y)) == Event((4,), "real")


@pytest.mark.parametrize(
    ("y", "kind", "message"),
    [
        (BITS, "bits", "`dataset.label_kind` must be classes, binary, real, tokens or null, but is bits"),
        (BITS, "classes", "`dataset.label_kind` must be binary, real, tokens or null for labels"),
        (np.array(["a", "b"] * 10), "real", "`dataset.label_kind` must be classes or null for labels of words"),
    ],
)
def test_a_kind_that_labels_are_not_is_refused(y: Any, kind: str, message: str, own: Callable[..., str]) -> None:
    with pytest.raises(Mistake, match=message):
        file.labels(own(y), label_kind=kind)
    with pytest.raises(Mistake, match=r"`dataset\.label_kind` must be null without labels"):
        file.labels(own(y), label=None, label_kind="real")


def test_rows_without_a_label_are_dropped_whatever_x_is(tmp_path: Path) -> None:
    y, x = lacking(REAL, np.nan), np.arange(60, dtype=np.uint8).reshape(20, 3)
    np.savez(tmp_path / "own.npz", x=x, y=y)
    splits = file.load(Path(), str(tmp_path / "own.npz"), missing="drop")
    assert sum(len(split.x) for split in splits.values()) == 19


def test_several_columns_are_attributes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "".join(f"{row},{row % 2},{row / 2},{'ab'[row % 2]}\n" for row in range(20))
    (tmp_path / "a.csv").write_text(f"x,smokes,age,kind\n{rows}")
    path = str(tmp_path / "a.csv")
    with caplog.at_level("INFO", logger="dgmrun"):
        splits = file.load(Path(), path, label=["smokes", "age"], drop=["kind"])
    assert "labels from columns smokes and age, 2 real attributes from 0 to 9.5" in caplog.text
    for split in splits.values():
        expected = torch.stack([split.x[:, 0] % 2, split.x[:, 0] / 2], 1)
        torch.testing.assert_close(split.y, expected.float())
    assert file.labels(path, label=[1], drop="kind") == Event((1,), "binary")
    with pytest.raises(Mistake, match="must have a number at line 2 in column kind") as caught:
        file.labels(path, label=["kind", "age"])
    assert "dataset.label=kind makes classes" in (caught.value.hint or "")
    with pytest.raises(Mistake, match=r"`dataset\.drop` must not have the column of `dataset.label`, but has age"):
        file.labels(path, label=["smokes", "age"], drop=["age"])
