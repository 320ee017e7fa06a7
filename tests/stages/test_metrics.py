"""metrics.csv and the curve drawn from it; that a killed training has every step once is in contracts/."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dgmrun.run import metrics

Command = Callable[..., int]
TINY = (
    "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4 "
    "model.hidden=3 trainer.max_steps=6 trainer.validate_every_n_steps=3 hydra.run.dir=run"
).split()


def test_it_has_what_tensorboard_has_and_draws_it(dgmrun: Command, tmp_path: Path) -> None:
    assert dgmrun("model=nade", *TINY, "train") == 0
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    curves = metrics.curves(tmp_path / "run")
    assert {"train/loss", "train/lr", "valid/nll", "valid/gap"} <= curves.keys()
    assert curves["valid/bound"] == curves["valid/nll"], "which models with a bound alone have as well"
    for tag, rows in curves.items():
        logged = [(event.step, event.value) for event in events.Scalars(tag)]
        assert rows == [(step, pytest.approx(value, rel=1e-6)) for step, value in logged]
    assert [step for step, _ in curves["train/loss"]] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "run" / "figures" / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_later_rows_and_a_row_cut_short_are_dropped(tmp_path: Path) -> None:
    metrics.keep(tmp_path, 0)
    for step in (1, 2, 3):
        metrics.append(tmp_path, {"train/loss": step / 3, 'a,"b"': float("nan")}, step)
    with (tmp_path / "metrics.csv").open("a") as stream:
        stream.write("2,train/loss,7")
    metrics.keep(tmp_path, 2)
    rows = list(csv.reader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert rows == [
        ["step", "tag", "value"],
        *(
            [str(step), tag, value]
            for step in (1, 2)
            for tag, value in (("train/loss", str(step / 3)), ('a,"b"', "nan"))
        ),
    ]
    assert metrics.curves(tmp_path) == {"train/loss": [(1, 1 / 3), (2, 2 / 3)]}


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\n", b"step,tag,value\n1,a\n1,a,b\n1,a,1,1\n,,\n", b'"' * 200_000 + b"\n", b"1,a,1e999\n"],
)
def test_of_a_strangers_file_only_numbers_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    assert metrics.curves(tmp_path) == {}


def test_another_logger_has_the_same_scalars(
    dgmrun: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"--config-dir={Path(__file__).parents[1] / 'configs'}", "model=nade", *TINY, "train")
    assert dgmrun(*words, "logger=plain") == 0
    (file,) = (tmp_path / "logged").rglob("metrics.csv")
    with file.open() as stream:
        rows = list(csv.DictReader(stream))
    logged = {(int(row["step"]), tag): float(value) for row in rows for tag, value in row.items() if value}
    for tag, points in metrics.curves(tmp_path / "run").items():
        assert all(logged[step, tag] == pytest.approx(value) for step, value in points)
    assert dgmrun(*words, "logger=mlflow", "hydra.run.dir=other") == 2
    assert "`logger` must be one whose package is installed" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert dgmrun(*words, "logger=plain", "logger.save_dir=file", "hydra.run.dir=third") == 1
    assert "`logger` must be one that can log, but NotADirectoryError" in capsys.readouterr().err
