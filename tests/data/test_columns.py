"""Columns of the user's own tables: labels, splits, those left out, and missing values; and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from torch import Tensor

from dgmrun.data.splits import SPLITS, places
from dgmrun.datasets import file
from dgmrun.errors import Mistake
from dgmrun.paths import quoted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 2))
SPECIES = ["virginica", "setosa"] * 10
FLOWERS = "".join(f"{a!r},{b!r},{word}\n" for (a, b), word in zip(X.tolist(), SPECIES, strict=True))


def csv(folder: Path, content: str) -> str:
    (folder / "a.csv").write_text(content)
    return str(folder / "a.csv")


def read(path: str, **settings: Any) -> tuple[Tensor, Tensor | None]:
    """Returns x and labels of all rows, in the order of the file."""
    splits = file.load(Path(), path, **settings)
    x = torch.cat([splits[name].x for name in SPLITS])
    order = torch.cat(list(places(len(x)))).argsort()
    ys = [split.y for split in splits.values() if split.y is not None]
    return x[order], torch.cat(ys)[order] if ys else None


@pytest.mark.parametrize(
    ("heading", "label"), [("a,b,species\n", "species"), ("a,b,species\n", 2), ("", 2), ("a,b,Class\n", "auto")]
)
def test_words_become_classes_in_order(heading: str, label: Any, tmp_path: Path) -> None:
    path = csv(tmp_path, heading + FLOWERS)
    x, y = read(path, label=label)
    assert torch.equal(x, torch.from_numpy(X))
    assert y is not None
    assert y.tolist() == [1, 0] * 10
    assert file.classes(path, label=label) == ["setosa", "virginica"]
    found = file.labels(path, label=label)
    assert found is not None
    assert (found.kind, found.size) == ("categorical", 2)


@pytest.mark.parametrize(("values", "classes"), [([5, 3], ["3", "5"]), ([1, -1], ["-1", "1"]), ([1, 0], ["0", "1"])])
def test_whole_numbers_become_classes_in_order(values: list[int], classes: list[str], tmp_path: Path) -> None:
    path = csv(tmp_path, "b,kind\n" + "".join(f"0.5,{value}\n" for value in values * 10))
    _, y = read(path, label="kind")
    assert y is not None
    assert y.tolist() == [1, 0] * 10
    assert file.classes(path, label="kind") == classes


def test_a_label_recognised_by_name_is_none_where_null_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = csv(tmp_path, "label,p0\n" + "".join(f"{row % 3},{row}\n" for row in range(20)))
    with caplog.at_level("INFO", logger="dgmrun"):
        assert read(path)[0].shape == (20, 1)
    assert "labels from column label (dataset.label=null for none), 3 classes: 0 1 2" in caplog.text
    assert file.event(path, label=None).shape == (2,)
    assert read(path, label=None)[1] is None


def test_what_is_called_as_a_label_but_has_no_classes_is_a_column(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Points in the plane, and a target to regress on."""
    for heading, said in (("x,y\n", False), ("a,target\n", True)):
        path = csv(tmp_path, heading + "".join(f"{a!r},{b!r}\n" for a, b in X.tolist()))
        with caplog.at_level("INFO", logger="dgmrun"):
            x, y = read(path)
        assert (x.shape, y) == ((20, 2), None)
        assert ("target as numbers, as it has no classes" in caplog.text) is said


def test_columns_are_dropped_by_name_or_number(tmp_path: Path) -> None:
    path = csv(tmp_path, "a,b,species\n" + FLOWERS)
    for drop in (["species", "a"], [0, 2], ["species", 0]):
        assert torch.equal(read(path, drop=drop)[0], torch.from_numpy(X[:, 1:]))
    with pytest.raises(Mistake, match="must have a number at line 2 in column species, but has 'virginica'") as caught:
        file.event(path)
    assert caught.value.hint == (
        "dataset.drop=[species] leaves the column out, dataset.label=species makes classes; else write a number"
    )


def test_a_column_of_splits_is_that(tmp_path: Path) -> None:
    names = ["train"] * 12 + ["validate"] * 3 + ["holdout"] * 5
    path = csv(tmp_path, "a,split\n" + "".join(f"{row}.5,{name}\n" for row, name in enumerate(names)))
    assert [len(split.x) for split in file.load(Path(), path).values()] == [12, 3, 5]


def test_missing_values_are_refused_dropped_or_means_of_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holed = X.copy()
    holed[[3, 7], [0, 1]] = np.nan
    np.savez(tmp_path / "a.npz", x=holed)
    path = str(tmp_path / "a.npz")
    with pytest.raises(Mistake, match=r"a value at row 3 \(from 0\) in column 0 \(from 0\), but has none") as caught:
        file.event(path)
    assert "dataset.missing=drop leaves such rows out, 2 of 20" in str(caught.value.hint)
    with caplog.at_level("INFO", logger="dgmrun"):
        kept, _ = read(path, missing="drop")
        filled, _ = read(path, missing="mean")
    assert torch.equal(kept, torch.from_numpy(np.delete(X, [3, 7], 0)))
    means = np.nanmean(holed[places(20)[0].numpy()], 0)
    expected = np.where(np.isnan(holed), means, holed)
    torch.testing.assert_close(filled, torch.from_numpy(expected), rtol=1e-12, atol=0)
    assert "2 of 20 rows dropped for missing values" in caplog.messages[0]
    assert "missing values as means of the training split: 2" in caplog.messages[1]


@pytest.mark.parametrize("word", ["", "NA", "N/A", "nan", "NULL", "None", "?", "-", ".", "#N/A", "<NA>"])
def test_what_is_missing_has_several_words(word: str, tmp_path: Path) -> None:
    path = csv(tmp_path, f"a,b\n1,2\n3,{word}\n5,6\n7,8\n")
    assert read(path, missing="drop")[0].tolist() == [[1, 2], [5, 6], [7, 8]]


def test_rows_without_a_label_are_dropped_with_those_without_a_value(tmp_path: Path) -> None:
    path = csv(tmp_path, "a,kind\n1.5,u\n2.5,\n3.5,v\n4.5,u\n,v\n6.5,v\n")
    x, y = read(path, label="kind", missing="drop")
    assert y is not None
    assert (x.flatten().tolist(), y.tolist()) == ([1.5, 3.5, 4.5, 6.5], [0, 1, 0, 1])


def test_what_is_understood_is_said_in_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = csv(tmp_path, "id,a,b,species\n" + "".join(f"{row},{line}\n" for row, line in enumerate(FLOWERS.split())))
    with caplog.at_level("INFO", logger="dgmrun"):
        file.load(Path(), path, label="species", drop=["b"])
    assert caplog.messages[0].partition("a.csv: ")[2] == (
        "20x1, real, separated by commas, heading left out, b dropped, first column left out, as it numbers the rows, "
        "labels from column species, 2 classes: setosa virginica, split at random, the same for every run"
    )
    assert len(caplog.messages) == 1


def test_words_of_a_file_never_reach_the_terminal_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = csv(tmp_path, "a,kind\n" + "1,\x1b[31mred\n2,blue\n" * 5)
    with caplog.at_level("INFO", logger="dgmrun"):
        file.load(Path(), path, label="kind")
    assert "\x1b" not in caplog.text
    assert "?[31mred" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({"label": [["kind"]]}, "`dataset.label` must be the name or number of a column", "dataset.label=[kind]"),
        ({"label": 1.5}, "`dataset.label` must be .*, or a list of them, but is 1.5", None),
        ({"drop": [["a"]]}, "`dataset.drop` must be the name or number of a column", "dataset.drop=[a]"),
        ({"drop": ["my", "width"]}, 'table: a, "my, width", kind, or a number', 'dataset.drop=[1] is "my, width"'),
        ({"drop": ["kin"]}, r"but is kin \(did you mean `kind`\?\)", None),
        ({"missing": "dorp"}, r"but is dorp \(did you mean `drop`\?\)", None),
    ],
)
def test_a_wrong_name_of_a_column_has_a_cure(
    settings: dict[str, Any], message: str, hint: str | None, tmp_path: Path
) -> None:
    path = csv(tmp_path, 'a,"my, width",kind\n' + "1,2,3\n" * 20)
    with pytest.raises(Mistake, match=message) as caught:
        read(path, **settings)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("typed", "names"),
    [("c=d,a.b", ["c=d", "a.b"]), ('"my, width",0', ["my, width", 0]), ("a,'b'", ["a", "b"]), ("", [])],
)
def test_any_name_of_a_column_can_be_typed(typed: str, names: list[str | int]) -> None:
    """As Hydra reads it; other values are left as they are."""
    value = OverridesParser.create().parse_override(quoted(f"dataset.drop=[{typed}]")).value()
    assert [each if isinstance(each, int) else str(getattr(each, "text", each)) for each in value] == names
    assert quoted("dataset.drop=[a],[b]") == "dataset.drop=[a],[b]"
