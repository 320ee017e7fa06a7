"""Pictures of evidence, by what their axes hold; and those of runs by hand, which a stranger may have spoilt."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dgmrun.pictures import exhibit, found, gallery
from dgmrun.pictures.drawing import png
from dgmrun.pictures.evidence import Curves, Points, curves, densities
from dgmrun.pictures.grid import pixels
from dgmrun.report.runs import read
from dgmrun.run import figures
from dgmrun.run.directory import Run
from dgmrun.tools.compare import main
from tests.figure import entry, identity

AIS = [(10, 4.0, 3.0, None), (20, 4.5, 4.0, 5.0), (40, 4.75, 4.5, 5.0)]
BRIDGE = [(100, 5.5, None, None), (200, 5.0, 4.9, 5.1)]
NORMAL = np.random.default_rng(0).normal
PICTURES = (NORMAL(size=(7, 1, 3, 4)) > 0).astype(np.uint8)
POINTS = Points(*NORMAL(-20, 3, size=(2, 50)), *((first, second) for first, second in NORMAL(-20, 3, size=(2, 2, 40))))


def names(figure: Figure, place: int = 0) -> list[str]:
    return figure.axes[place].get_legend_handles_labels()[1]


def test_every_method_is_a_line_and_a_band_and_the_truth_is_level() -> None:
    figure = curves({"log Z of t": Curves({"ais": AIS, "bridge": BRIDGE}, 4.9)})
    (axes,) = figure.axes
    ais, bridge, exact = axes.lines
    assert names(figure) == ["ais", "bridge", "exact"]
    assert ais.get_xydata().tolist() == [[count, value] for count, value, *_ in AIS]
    assert bridge.get_xydata().tolist() == [[100, 5.5], [200, 5.0]]
    assert set(exact.get_ydata()) == {4.9}
    assert len(axes.collections) == 2
    extents = axes.collections[0].get_datalim(axes.transData).extents.tolist()
    assert extents == [10, 3, 40, 5], "where one end is open, the band ends at the line"
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "samples", "log Z (nats)")
    assert axes.get_title() == "log Z of t"
    low, high = axes.get_ylim()
    assert low < 4.5
    assert 5.5 < high < 6, "no curve is cut at the frame"


def test_a_figure_without_an_interval_has_no_band() -> None:
    """Whatever its first samples claimed: of two modes and a student of one, all ends agree, and are wrong."""
    told = [[10, 15.48, 15.47, 15.49], [20, 15.486, 15.486, 15.486]]
    claimed, doubted = (
        figures.Figure.from_json(entry("log_z", 15.486, "0" * 64, interval=ends, curve=told))
        for ends in ([15.48, 15.49], None)
    )
    assert found.rows(claimed) == [tuple(row) for row in told]
    assert found.rows(doubted) == [(count, value, None, None) for count, value, *_ in told]
    (band,) = curves({"": Curves({"bridge": found.rows(doubted)}, None)}).axes[0].collections
    assert not any(len(path.vertices) for path in band.get_paths())


@pytest.mark.drawn
def test_each_model_has_a_panel_and_each_line_its_look() -> None:
    many = {f"method {number}": AIS for number in range(13)}
    figure = curves({"a": Curves(many, None), "b": Curves({}, 3.0), "c": Curves({}, None)})
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"]
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}) == 13
    assert [len(axes.lines) for axes in figure.axes] == [13, 1, 0]
    png(figure)


def test_densities_meet_at_samples_of_both() -> None:
    figure = densities({"": POINTS})
    scattered, ranked = figure.axes
    student, first, second = (np.asarray(kind.get_offsets()) for kind in scattered.collections)
    assert np.array_equal(student, np.stack(POINTS[:2], 1))
    assert np.array_equal(first, np.stack([POINTS.p_of_p[0], POINTS.q_of_p[0]], 1))
    assert np.array_equal(second, np.stack([POINTS.p_of_p[1], POINTS.q_of_p[1]], 1))
    assert len({tuple(kind.get_facecolor()[0]) for kind in scattered.collections}) == 3
    assert scattered.lines[0].get_slope() == 1
    assert math.isclose(*scattered.lines[0].get_xy1())
    assert (scattered.get_xlabel(), scattered.get_ylabel()) == ("log p (nats)", "log q (nats)")
    for line, halves in zip(ranked.lines, (POINTS.p_of_p, POINTS.q_of_p), strict=True):
        assert line.get_xdata().tolist() == list(range(1, 81))
        assert line.get_ydata().tolist() == sorted(np.concatenate(halves), reverse=True)
    assert (ranked.get_xlabel(), ranked.get_ylabel()) == ("rank", "log-probability (nats)")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names(figure) + names(figure, 1)


def test_students_stand_side_by_side_on_one_scale() -> None:
    far = POINTS._replace(q_of_q=POINTS.q_of_q - 100)
    figure = densities({"good": POINTS, "bad": far})
    above, below = figure.axes[:2], figure.axes[2:]
    assert [axes.get_title() for axes in above] == ["good", "bad"]
    assert above[0].get_ylim() == above[1].get_ylim()
    assert below[0].get_ylim() == below[1].get_ylim()
    assert [axes.get_ylabel() for axes in above] == ["log q (nats)", ""]


def test_many_points_are_thinned() -> None:
    many = POINTS._replace(p_of_q=np.arange(1e5), q_of_q=np.arange(1e5))
    assert len(densities({"": many}).axes[0].collections[0].get_offsets()) == 1000


def test_pictures_stand_in_one_row_of_whole_pixels() -> None:
    table = NORMAL(size=(5, 9))
    figure = gallery.side_by_side({"data": PICTURES, "a student": table})
    assert [axes.get_title() for axes in figure.axes] == ["data", "a student"]
    for axes, x in zip(figure.axes, (PICTURES, table), strict=True):
        (image,) = axes.images
        shown, size = np.asarray(image.get_array()), axes.get_window_extent().size
        assert np.array_equal(shown, pixels(x))
        scale = size / shown.shape[::-1]
        assert scale == pytest.approx(np.round(scale[0]))
    assert pixels(table).shape == table.shape
    assert pixels(PICTURES).shape == (3 * 4 + 1, 3 * 5 + 1)
    assert np.array_equal(pixels(PICTURES[:, 0]), pixels(PICTURES[:, :1]))


def test_three_channels_are_colours() -> None:
    x = np.zeros((2, 3, 2, 2), dtype=np.float32)
    x[0, 0] = x[1, 2] = 1
    sheet = pixels(x)
    assert sheet.shape == (4, 7, 3)
    assert np.array_equal(sheet[1:3, 1:3], np.full((2, 2, 3), (255, 0, 0)))
    assert np.array_equal(sheet[1:3, 4:6], np.full((2, 2, 3), (0, 0, 255)))


def test_features_of_both() -> None:
    figure = gallery.features(PICTURES, PICTURES[:2])
    assert [axes.get_title() for axes in figure.axes] == ["filters of the teacher", "filters of the student"]


@pytest.mark.drawn
@pytest.mark.parametrize("name", ["$x_{", "_hidden", "语言", "a" * 500])
def test_any_name_can_be_shown(name: str) -> None:
    png(curves({name: Curves({name: AIS}, None)}))
    png(densities({name: POINTS, "b": POINTS}))
    png(gallery.side_by_side({name: PICTURES}))


def estimate(value: float, of: str, through: str | None = None, **entries: Any) -> dict[str, Any]:
    parts = {
        "standard_error": 0.1,
        "interval": [value - 1, value + 1],
        "kind": "estimate",
        "proposal": identity(through) if through else None,
        "curve": [[10, value + 1, None, None], [100, value, value - 1, value + 1]],
    }
    return entry("log_z", value, of, **(parts | entries))


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


OF_TEACHER = np.frombuffer(bytes.fromhex(sha("t")), np.uint8)


def write(path: Path, log_z: dict[str, Any], **config: Any) -> Run:
    """A run whose weights are its name."""
    settings = {"name": None, "model": {"hidden": 3}, "choices": {"model": "rbm"}} | config
    run = Run.create(path, settings, {"status": "done", "log_z": log_z})
    (path / "weights.safetensors").write_text(path.name)
    run.write_arrays("samples.npz", data=PICTURES, x=PICTURES[::-1])
    draws = {"log_f_of_q": 0, "log_q_of_q": -5} if log_z else {}
    run.write_arrays(
        "proposal.npz",
        of=OF_TEACHER,
        **{name: NORMAL(mean, 1, size=50) for name, mean in draws.items()},
        **{name.replace("_of_q", "_of_p"): NORMAL(mean, 1, size=(2, 4, 5)) for name, mean in draws.items()},
    )
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A teacher that holds what the newer of its students found, and one run that is neither."""
    exact = estimate(5.0, sha("t"), kind="exact", curve=[])
    found_by = {name: estimate(value, sha("t"), sha(name)) for name, value in (("good", 5.1), ("bad", 4.0))}
    write(tmp_path / "runs" / "t", {"exact": exact, "ais": estimate(4.9, sha("t")), "bridge": found_by["bad"]})
    for name, figure in found_by.items():
        write(tmp_path / "runs" / name, {"bridge": figure, "importance": estimate(9.0, sha("t"), sha("old"))})
    write(tmp_path / "runs" / "other", {})
    return tmp_path / "runs"


def drawn(monkeypatch: pytest.MonkeyPatch, *argv: str | Path, looked_at: str | None = None) -> dict[str, Figure]:
    """The figures that compare makes, by the names of their files; if one is looked at, it alone is saved."""
    kept: dict[str, Figure] = {}
    save = exhibit.drawing.save

    def keep(file: Path, figure: Figure) -> list[Path]:
        kept[file.name] = figure
        return save(file, figure) if looked_at in (None, file.name) else [file]

    monkeypatch.setattr(exhibit.drawing, "save", keep)
    main([str(word) for word in argv])
    return kept


def test_compare_draws_from_the_files(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "figures"
    figures = drawn(monkeypatch, runs, "--figures", folder)
    out, err = capsys.readouterr()
    assert [line.split()[-1] for line in err.splitlines()] == [str(folder / name) for name in figures]
    assert str(folder) not in out
    assert set(figures) == {"samples.png", "log_z.png", "proposals.png"}
    numbers = {"samples.npz", "log_z.csv", "proposals.npz"}
    assert {file.name for file in folder.iterdir()} == {*figures, *numbers}
    assert [axes.get_title() for axes in figures["samples.png"].axes] == ["data", "bad", "good", "other", "t"]
    assert [axes.get_title() for axes in figures["log_z.png"].axes] == ["log Z of t"]
    assert set(names(figures["log_z.png"])) == {"bridge, bad", "bridge, good", "ais", "exact"}
    assert [axes.get_title() for axes in figures["proposals.png"].axes[:2]] == ["bad", "good"]
    (p, _) = np.asarray(figures["proposals.png"].axes[0].collections[0].get_offsets()).T
    with np.load(runs / "bad" / "proposal.npz", allow_pickle=False) as held:
        assert p == pytest.approx(held["log_f_of_q"] - 5.0), "log p is by the exact log Z, wherever it was found"


def test_without_the_teacher_its_log_z_is_by_the_bridge(runs: Path) -> None:
    (one,) = read([runs / "bad"])
    panel = found.curves(exhibit._pools([one])[sha("t")])
    assert list(panel.methods) == ["bridge, bad"]
    known = found.of_weights(one.results, "log_z", sha("t"))
    assert found.best(known) == 4.0
    with pytest.raises(ValueError, match="no log Z"):
        found.best({"ais": replace(known["bridge"], value=1e300)})


def test_without_anything_to_draw_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "runs" / "a", {})
    (tmp_path / "runs" / "a" / "samples.npz").unlink()
    assert drawn(monkeypatch, tmp_path / "runs", "--figures", tmp_path / "figures") == {}
    assert "figures gets no plot: no samples" in capsys.readouterr().err


def test_pictures_are_turned_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "runs" / "a", {}, dataset={"pixel_order": "column"})
    figure = drawn(monkeypatch, tmp_path / "runs", "--figures", tmp_path)["samples.png"]
    assert np.array_equal(figure.axes[0].images[0].get_array(), pixels(PICTURES.swapaxes(-1, -2)))


def test_a_picture_has_room_for_so_many_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(exhibit.MOST + 2):
        write(tmp_path / "runs" / f"{number:02}", {})
    figures = drawn(monkeypatch, tmp_path / "runs", "--figures", tmp_path)
    assert list(figures) == ["samples.png"]
    assert len(figures["samples.png"].axes) == 1 + exhibit.MOST
    assert capsys.readouterr().err.count("warning: samples.png has room for 12 runs") == 1


def npz(**arrays: Any) -> Callable[[Path], None]:
    return lambda file: np.savez_compressed(file, **arrays)


def draws(**arrays: Any) -> Callable[[Path], None]:
    return npz(of=OF_TEACHER, **arrays)


GOOD_Q, GOOD_P = np.zeros(5), np.zeros((2, 3, 4))
GOOD = {"log_f_of_q": GOOD_Q, "log_q_of_q": GOOD_Q, "log_f_of_p": GOOD_P, "log_q_of_p": GOOD_P}
SAMPLES: dict[str, Callable[[Path], Any]] = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("x" * 1000),
    "no x": npz(data=PICTURES),
    "no examples": npz(data=PICTURES[:0], x=PICTURES),
    "no pixels": npz(data=PICTURES, x=np.zeros((3, 1, 0, 4))),
    "a number": npz(data=PICTURES, x=np.float64(3)),
    "three axes": npz(data=PICTURES, x=np.zeros((2, 3, 4))),
    "wide": npz(data=PICTURES, x=np.zeros((1, 2**15))),
    "a high picture": npz(data=PICTURES, x=np.zeros((1, 1, 600, 1))),
    "many numbers": npz(data=PICTURES, x=np.zeros((100, 16, 512, 512), dtype=np.uint8)),
    "infinite": npz(data=PICTURES, x=PICTURES + np.inf),
    "no numbers": npz(data=PICTURES, x=np.full((7, 1, 3, 4), np.nan)),
    "huge": npz(data=PICTURES, x=PICTURES * 1e300 + 1e300),
    "long": npz(data=PICTURES, x=np.full((2, 3), np.longdouble("1e4000"))),
    "words": npz(data=PICTURES, x=np.full((2, 3), "abc")),
    "objects": npz(data=PICTURES, x=np.full((2, 3), None)),
    "complex": npz(data=PICTURES, x=np.full((2, 3), 1j)),
    "other data": npz(data=1 - PICTURES, x=PICTURES),
    "other shape": npz(data=PICTURES[:, :, :2], x=PICTURES[:, :, :2]),
}
PROPOSALS: dict[str, Callable[[Path], Any]] = {
    "gone": Path.unlink,
    "text": lambda file: file.write_text("x"),
    "a part less": draws(log_f_of_q=GOOD_Q, log_q_of_q=GOOD_Q, log_f_of_p=GOOD_P),
    "unequal": draws(log_f_of_q=GOOD_Q, log_q_of_q=GOOD_Q[1:], log_f_of_p=GOOD_P, log_q_of_p=GOOD_P),
    "three halves": draws(
        log_f_of_q=GOOD_Q, log_q_of_q=GOOD_Q, log_f_of_p=GOOD_P[[0, 0, 0]], log_q_of_p=GOOD_P[[0, 0, 0]]
    ),
    "flat": draws(log_f_of_q=GOOD_Q, log_q_of_q=GOOD_Q, log_f_of_p=GOOD_Q[:2], log_q_of_p=GOOD_Q[:2]),
    "none": draws(log_f_of_q=GOOD_Q[:0], log_q_of_q=GOOD_Q[:0], log_f_of_p=GOOD_P, log_q_of_p=GOOD_P),
    "no chains": draws(log_f_of_q=GOOD_Q, log_q_of_q=GOOD_Q, log_f_of_p=GOOD_P[:, :0], log_q_of_p=GOOD_P[:, :0]),
    "not finite": draws(log_f_of_q=GOOD_Q, log_q_of_q=GOOD_Q - np.inf, log_f_of_p=GOOD_P, log_q_of_p=GOOD_P),
    "another model": npz(of=OF_TEACHER[::-1], **GOOD),
    "no model": npz(**GOOD),
    "words": draws(log_f_of_q=GOOD_Q.astype(str), log_q_of_q=GOOD_Q, log_f_of_p=GOOD_P, log_q_of_p=GOOD_P),
}
SPOILT = [("samples", name, spoil) for name, spoil in SAMPLES.items()]
SPOILT += [("proposal", name, spoil) for name, spoil in PROPOSALS.items()]


@pytest.mark.parametrize(("kind", "spoil"), [pytest.param(k, s, id=f"{k}, {n}") for k, n, s in SPOILT])
def test_what_cannot_be_drawn_is_left_out(
    kind: str,
    spoil: Callable[[Path], Any],
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(runs / "good" / f"{kind}.npz")
    figures = drawn(monkeypatch, runs, "--figures", tmp_path)
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: "))
    picture = {"samples": "samples.png", "proposal": "proposals.png"}[kind]
    assert warning.startswith(f"warning: {runs / 'good'} is left out of {picture}: ")
    titles = [axes.get_title() for axes in figures[picture].axes]
    assert "good" not in titles
    assert "bad" in titles


@pytest.mark.drawn
@pytest.mark.parametrize(
    "curve",
    [
        [[10, -1e300, None, None], [20, 5.0, 1e300, -1e300]],
        [[0, 5.0, None, None], [3, 5.0, 4.0, 6.0]],
        [[2**62, 5.0, None, None]],
        [[None, None, None, None], None],
        [[10, 5.0, 4.0, 6.0]] * 100_000,
        [[10, 1e12, None, None], [10, -1e12, None, None]],
        None,
    ],
)
def test_curves_of_a_stranger(curve: Any, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(runs / "good").merge({"log_z": {"bridge": {"curve": curve}, "more": estimate(5.0, sha("t"), sha("good"))}})
    figures = drawn(monkeypatch, runs, "--figures", tmp_path, looked_at="log_z.png")
    assert "more, good" in names(figures["log_z.png"])
    with Image.open(tmp_path / "log_z.png") as picture:
        assert max(picture.size) < 3000


@pytest.mark.parametrize("curve", [[[1e300, 5.0, 4.0, 6.0]], [[-3, 5.0, 4.0, 6.0]], [[10, 5.0]], {}, 3])
def test_what_is_no_curve_leaves_its_run_out(
    curve: Any, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = runs / "good" / "results.json"
    results = json.loads(file.read_text())
    results["log_z"]["bridge"]["curve"] = curve
    file.write_text(json.dumps(results))
    figures = drawn(monkeypatch, runs, "--figures", tmp_path)
    assert f"warning: {runs / 'good'} is left out: " in capsys.readouterr().err
    assert "bridge, bad" in names(figures["log_z.png"])
    assert "bridge, good" not in names(figures["log_z.png"])
