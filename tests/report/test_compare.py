"""`dgmrun compare` over run directories written by hand."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgmrun import cli
from dgmrun.errors import Mistake
from dgmrun.report.paired import Place, Scored, _difference, grounds, ranking
from dgmrun.report.runs import Entry, differing, read
from dgmrun.report.stale import renewal
from dgmrun.report.terminal import table, text, wrapped
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure
from dgmrun.tools.compare import main
from tests.figure import entry, identity

WEIGHTS = b"weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
FORMS = ([], ["--wide"], ["--runs"], ["--csv"], ["--json"], ["--csv", "--runs"], ["--json", "--runs"])
LOG_PROB = np.random.default_rng(0).normal(-20, 3, size=50)


def config(objective: str = "pcd", **settings: Any) -> dict[str, Any]:
    own = {"num_chains": None} if objective == "pcd" else {}
    return {
        "stages": ["train"],
        "seed": 0,
        "name": None,
        "model": {"_target_": "dgmrun.models.rbm.RBM", "hidden": 10},
        "objective": {"_target_": f"dgmrun.objectives.{objective}", "k": 1, **own},
        "choices": {"model": "rbm", "objective": objective, "dataset": "digits"},
    } | settings


def estimate(value: float, quantity: str = "log_likelihood", /, **parts: Any) -> dict[str, Any]:
    told = {"split": "test", "examples": 50, "diagnostics": {"standard_error_log_z": 0.0}}
    return entry(quantity, value, SHA256, **(told | parts))


def write(
    path: Path,
    likelihood: dict[str, Any] | None = None,
    dataset: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> Run:
    facts = {"name": "digits", "kind": "binary", "given": None, "transform": "none", "binarisation": "threshold"}
    run = Run.create(
        path,
        settings or config(),
        {
            "status": "done",
            "train": {"steps": 200, "seconds": 1.25},
            "dataset": facts | {"splits": {"test": {"sha256": "a" * 64}}} | (dataset or {}),
            "likelihood": likelihood or {},
        },
    )
    (path / "weights.safetensors").write_bytes(WEIGHTS)
    return run


def score(run: Run, log_prob: np.ndarray, name: str = "test-exact", order: np.ndarray | None = None) -> None:
    (run.path / "per_example").mkdir(exist_ok=True)
    index = np.arange(len(log_prob)) if order is None else order
    np.savez(run.path / "per_example" / f"{name}.npz", log_prob=log_prob[index], index=index)


def scored(path: Path, log_prob: np.ndarray, **rest: Any) -> Run:
    run = write(path, {"exact": estimate(float(log_prob.mean()))}, **rest)
    score(run, log_prob)
    return run


def rankings(entries: list[Entry]) -> list[list[Place]]:
    """Of every ground with two runs at least."""
    return [ranking(ground) for ground in grounds(entries) if len(ground) > 1]


def printed(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    main([str(word) for word in argv])
    return capsys.readouterr().out


def test_an_estimate_that_exceeds_the_ranked_bound_is_shown_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    high = estimate(-13.156, kind="estimate", interval=[None, None], warnings=["it exceeds likelihood.ais by 5.674"])
    bound = estimate(-18.829, kind="lower_bound")
    score(write(tmp_path / "run", {"avb": high, "ais": bound, "avb@valid": high | {"split": "valid"}}), LOG_PROB)
    score(Run.open(tmp_path / "run"), LOG_PROB, "test-ais")
    settings, models = (block.splitlines() for block in printed(capsys, tmp_path).split("best first\n\n")[1:3])
    assert settings[2].split() == ["1", "rbm", "pcd", ">=", "-18.829", "-", "1"]
    assert "likelihood.avb " in models[0]
    assert "valid" not in models[0]
    assert "-  " in models[2]
    assert models[2].endswith("~ -13.156 +- 0.250 !  run")


def test_figures_of_what_has_no_likelihood_fit_a_narrow_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = {"features": {"run": "cls", "weights_sha256": "b" * 64}}
    for name, seed in (("a", 0), ("b", 1)):
        run = write(tmp_path / name, settings=config(seed=seed))
        of_run = {each: estimate(0.5, each, kind="estimate", settings=features) for each in ("mmd", "fid", "kid")}
        run.merge({"fidelity": of_run | {"ratio": estimate(0.25, "jsd", kind="lower_bound")}})
    out = printed(capsys, tmp_path)
    assert max(map(len, out.splitlines())) <= 80
    assert out.splitlines()[2].split() == ["model", "objective", "fidelity.mmd", "fidelity.fid", "fidelity.kid", "run"]
    assert out.splitlines()[4].split("  ")[-4:] == [*["~ 0.500 +- 0.250"] * 3, "a"]
    assert "By features of cls (bbbbbbbb): fidelity.mmd, fidelity.fid, fidelity.kid." in " ".join(out.split())
    wide = printed(capsys, tmp_path, "--wide")
    assert "~ 0.500 +- 0.250 mmd by features of cls (bbbbbbbb)" in wide
    assert ">= 0.250 +- 0.250 jsd" in wide
    other = {"features": {"run": "other", "weights_sha256": "c" * 64}}
    Run.open(tmp_path / "b").merge({"fidelity": {"mmd": estimate(0.5, "mmd", kind="estimate", settings=other)}})
    assert "mmd by features of other (cccccccc)" in printed(capsys, tmp_path)


def test_tables_of_bits_and_of_greys_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = {"kind": "unit", "binarisation": "none"}
    scored(tmp_path / "bits", LOG_PROB)
    assert "digits, test split, 50 examples: settings" in printed(capsys, tmp_path)
    scored(tmp_path / "greys", LOG_PROB, dataset=grey, settings=config("cd"))
    out = printed(capsys, tmp_path)
    for what in ("binary by threshold", "unit"):
        assert f"digits, test split, 50 examples, {what}: settings, best first" in out


def test_only_differences_are_columns(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", settings=config("cd", seed=1, optimizer={"lr": 0.1}))
    assert differing(read([tmp_path])) == ["objective", "seed", "optimizer.lr"]


def test_names(tmp_path: Path) -> None:
    for place, name in {"x/a": None, "x/b": "mine", "y/c": "twice", "y/d": "twice"}.items():
        write(tmp_path / place, settings=config(name=name))
    assert [entry.name for entry in read([tmp_path])] == ["x/a", "mine", "twice (y/c)", "twice (y/d)"]
    assert [entry.name for entry in read([tmp_path / "x" / "a", tmp_path / "x"])] == ["a", "mine"]


@pytest.mark.parametrize(
    ("entry", "cell"),
    [
        (estimate(-20.0), " -20.000 +- 0.250"),
        (estimate(-20.0, standard_error=0), " -20.000 "),
        (estimate(-20.0, standard_error=0.00028), " -20.00000 +- 0.00028"),
        (estimate(-20.0, kind="lower_bound"), ">= -20.000 +- 0.250"),
        (estimate(-20.0, kind="upper_bound"), "<= -20.000 +- 0.250"),
        (estimate(-20.0, kind="estimate", warnings=["few chains"]), "~ -20.000 +- 0.250 !"),
        (estimate(-20.0, of=identity("0" * 64)), "-20.000 +- 0.250 stale"),
        (estimate(-20.0, standard_error=None, interval=None), "-20.000 +- ? "),
        (estimate(-20.0, of=identity("0" * 64), proposal=identity("1" * 64)), "-20.000 +- 0.250 stale "),
        (estimate(-20.0, of=identity("0" * 64), proposal=identity(SHA256)), "-20.000 +- 0.250 of another"),
        (estimate(0.5, "jsd", kind="lower_bound"), ">= 0.500 +- 0.250 jsd"),
    ],
)
def test_marks(tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: dict[str, Any], cell: str) -> None:
    write(tmp_path / "a", {"exact": entry})
    row = printed(capsys, tmp_path, "--runs").splitlines()[2]
    assert cell in row.replace("   ", " ") + " "


@pytest.mark.parametrize("part", ["value", "quantity", "kind", "of", "bias", "seconds"])
@pytest.mark.parametrize("lack", ["null", "absent"])
def test_what_lacks_a_part_is_no_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str, lack: str
) -> None:
    partial = estimate(-20.0, **{part: None})
    if lack == "absent":
        del partial[part]
    write(tmp_path / "a", {"exact": partial})
    write(tmp_path / "b", {"exact": estimate(-20.0)})
    lacking, whole = printed(capsys, tmp_path, "--runs").splitlines()[2:4]
    assert lacking.split()[-1] == "-"
    assert "-20.000 +- 0.250" in whole


def test_nothing_is_stale_without_weights(tmp_path: Path) -> None:
    run = write(tmp_path / "a", {"exact": estimate(-20.0, of=identity("0" * 64))})
    (run.path / "weights.safetensors").unlink()
    (one,) = read([tmp_path])
    assert not one.figures["likelihood.exact"].is_stale(one.weights)


def test_difference_is_paired(tmp_path: Path) -> None:
    better = LOG_PROB + np.random.default_rng(1).normal(0.5, 0.2, size=50)
    scored(tmp_path / "a", LOG_PROB)
    entry = estimate(float(better.mean()), kind="estimate", diagnostics={"standard_error_log_z": 0.03})
    run = write(tmp_path / "b", {"ais": entry})
    score(run, better, "test-ais", order=np.random.default_rng(2).permutation(50))
    (places,) = rankings(read([tmp_path]))
    assert [place.entry.name for place in places] == ["b", "a"]
    difference = LOG_PROB - better
    expected = math.hypot(difference.std(ddof=1) / math.sqrt(50), 0.03)
    assert places[1].difference == pytest.approx(difference.mean())
    assert places[1].standard_error == pytest.approx(expected)
    assert places[1].resolved


@pytest.mark.parametrize(("num", "is_resolved"), [(2, False), (5, False), (50, True)])
def test_few_examples_resolve_less(tmp_path: Path, num: int, is_resolved: bool) -> None:
    """A difference of 5 standard errors: t(0.99865) is 236 for two examples, 6.6 for five and 3.2 for fifty."""
    spread = np.linspace(-1, 1, num)
    better = LOG_PROB[:num] + spread + 5 * spread.std(ddof=1) / math.sqrt(num)
    for name, log_prob in {"a": LOG_PROB[:num], "b": better}.items():
        scored(tmp_path / name, log_prob)
    (places,) = rankings(read([tmp_path]))
    place = places[1]
    assert abs(place.difference) == pytest.approx(5 * place.standard_error)
    assert place.resolved is is_resolved


@pytest.mark.parametrize("num", [2, 5, 10, 100])
def test_equal_runs_are_rarely_resolved(num: int) -> None:
    """2,000 pairs: 5.4 resolved are expected, at most 17 with a chance of 1 - 2e-5; by three standard errors, 400."""
    exact, draws = Figure.from_json(estimate(0.0)), np.random.default_rng(3).normal(size=(2000, num))
    found = [_difference(*(Scored(None, "", exact, each, np.arange(num)) for each in (d, 0 * d))) for d in draws]  # type: ignore[arg-type]
    assert sum(abs(difference) > half for difference, _, half in found) <= 17


def test_of_a_whole_population_every_difference_is_resolved(tmp_path: Path) -> None:
    for name, log_prob in {"a": LOG_PROB, "b": LOG_PROB[::-1] - 0.001}.items():
        told = {"standard_error_log_z": 0.0, "half_width_log_z": 0.0, "population": 50}
        score(write(tmp_path / name, {"exact": estimate(float(log_prob.mean()), diagnostics=told)}), log_prob)
    (places,) = rankings(read([tmp_path]))
    assert (places[1].standard_error, places[1].resolved) == (0.0, True)


def test_a_wide_interval_of_log_z_is_in_that_of_the_difference(tmp_path: Path) -> None:
    scored(tmp_path / "a", LOG_PROB)
    told = {"standard_error_log_z": 0.03, "half_width_log_z": 0.9}
    run = write(tmp_path / "b", {"ais": estimate(float(LOG_PROB.mean()) - 0.5, kind="estimate", diagnostics=told)})
    score(run, LOG_PROB - 0.5, "test-ais")
    (places,) = rankings(read([tmp_path]))
    assert places[1].half_width == pytest.approx(0.9)
    assert not places[1].resolved


def test_what_is_not_resolved_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, log_prob in {"a": LOG_PROB, "b": LOG_PROB, "c": LOG_PROB - 1.0}.items():
        scored(tmp_path / name, log_prob)
    lines = [line for line in printed(capsys, tmp_path).splitlines() if line.endswith(("  a", "  b", "  c"))]
    assert ["not resolved" in line for line in lines] == [False, True, False]


def test_the_best_founded_figure_ranks(tmp_path: Path) -> None:
    figures = {
        "ais": estimate(-1.0, kind="estimate"),
        "reverse_ais": estimate(-30.0, kind="lower_bound"),
        "old": estimate(-2.0, of=identity("0" * 64)),
        "simulated": estimate(-3.0, kind="upper_bound"),
        "unwritten": estimate(-4.0),
    }
    run = write(tmp_path / "a", figures)
    for method in ("ais", "reverse_ais", "old", "simulated"):
        score(run, LOG_PROB, f"test-{method}")
    scored(tmp_path / "b", LOG_PROB)
    (places,) = rankings(read([tmp_path]))
    assert [place.label for place in places] == ["likelihood.exact", "likelihood.reverse_ais"]


@pytest.mark.parametrize(
    "dataset",
    [
        {"kind": "real"},
        {"transform": "logit"},
        {"binarisation": "dynamic"},
        {"splits": {"test": {"sha256": "b" * 64}}},
        {"splits": None},
        {"kind": None},
        {"given": "labels"},
    ],
)
def test_what_disagrees_is_not_ranked(tmp_path: Path, dataset: dict[str, Any]) -> None:
    scored(tmp_path / "a", LOG_PROB)
    scored(tmp_path / "b", LOG_PROB, dataset=dataset)
    assert rankings(read([tmp_path])) == []


def test_other_examples_are_not_ranked(tmp_path: Path) -> None:
    scored(tmp_path / "a", LOG_PROB)
    scored(tmp_path / "b", LOG_PROB[:49])
    assert rankings(read([tmp_path])) == []


@pytest.mark.parametrize("content", ["rubbish", "nan", "no index", "pickle"])
def test_unreadable_scores_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    scored(tmp_path / "a", LOG_PROB)
    file = scored(tmp_path / "b", LOG_PROB).path / "per_example" / "test-exact.npz"
    if content == "rubbish":
        file.write_bytes(b"PK rubbish")
    else:
        values = {"nan": LOG_PROB * np.nan, "no index": LOG_PROB, "pickle": np.array([{}] * 50)}[content]
        np.savez(file, log_prob=values, **({} if content == "no index" else {"index": np.arange(50)}))
    assert rankings(read([tmp_path])) == []
    assert capsys.readouterr().err.startswith(f"warning: {file} is left out: ")


def older(path: Path, step: int = 0, split: str = "test") -> None:
    of = {**identity("0" * 64), "step": step}
    run = write(path, {"exact" if split == "test" else f"exact@{split}": estimate(-20.0, of=of, split=split)})
    run.merge({"train": {"weights_step": 200}, "sample": {"of": of}})


def lost(path: Path) -> None:
    (scored(path, LOG_PROB).path / "per_example" / "test-exact.npz").unlink()


def bounded(path: Path) -> None:
    write(path, {"exact": estimate(-20.0, kind="upper_bound")})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (write, "no likelihood was measured"),
        (older, "its likelihood is stale: `dgmrun likelihood run=a` renews it"),
        (lambda path: older(path, split="valid"), "`dgmrun likelihood run=a likelihood.split=valid` renews it"),
        (lambda path: older(path, 200), "its file of weights was changed or damaged since its likelihood was measured"),
        (lost, "per_example/test-exact.npz is missing or damaged"),
        (bounded, "an upper bound, or a figure without an interval, is not ranked"),
        (lambda path: scored(path, LOG_PROB, dataset={"splits": None}), "does not tell which examples were scored"),
    ],
)
def test_a_run_without_a_rank_is_told_why(
    make: Callable[[Path], object],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "a")
    assert reason in " ".join(printed(capsys, tmp_path).partition("Not ranked")[2].split())


def test_all_that_is_of_older_weights_is_renewed_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    figures = {"exact": estimate(-20.0), "exact@valid": estimate(-20.0, of=identity("0" * 64), split="valid")}
    run = write(tmp_path / "a", figures)
    run.merge({"log_z": {"exact": estimate(1.0, "log_z", of=identity("0" * 64), split=None)}})
    run.merge({"$(rm)": {"x": estimate(1.0, of=identity("0" * 64))}, "sample": {"of": identity("0" * 64)}})
    command = "dgmrun likelihood log_z sample run=a likelihood.split=valid"
    assert renewal(run.path, run.results, SHA256) == command
    assert renewal(run.path, run.results, None) is None


def test_a_table_is_headed_by_the_file_that_it_is_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("a.csv", "b.csv")):
        facts = {"name": "file", "splits": {"test": {"sha256": str(number) * 64}}}
        settings = config(dataset={"name": "file", "path": f"/somewhere/mine/{name}"})
        scored(tmp_path / name, LOG_PROB, dataset=facts, settings=settings)
    headings = [line for line in printed(capsys, tmp_path).splitlines() if line.endswith("settings, best first")]
    assert [heading.partition(",")[0] for heading in headings] == ["file mine/a.csv", "file mine/b.csv"]
    assert "file mine/b.csv" in printed(capsys, tmp_path, "--markdown")


def test_a_narrow_table_breaks_headings_between_words_alone() -> None:
    columns = [("nats per example", ["-1.0 +- 0.2"] * 2), ("run", ["a-folder-with-a-long-name", "b"])]
    shown = text(table(columns, 40))
    assert max(map(len, shown.splitlines())) <= 40
    shown = text(table(columns, 30))
    assert {"nats", "per", "example", "a-folder-with-a-long-name"} <= set(shown.split())
    assert "-1.0 +- 0.2" in shown


def test_a_command_in_a_text_is_on_one_line() -> None:
    assert wrapped("one two three `dgmrun likelihood run=a` renews it", "", 40) == [
        "one two three `dgmrun likelihood run=a`",
        "renews it",
    ]


@pytest.mark.parametrize("flags", [("--html", "/proc/x.html"), ("--figures", "/proc/self")])
def test_a_folder_that_only_looks_writable_is_a_mistake(flags: tuple[str, str], tmp_path: Path) -> None:
    write(tmp_path / "a")
    with pytest.raises(Mistake, match=f"`{flags[0]}` must be .* to write to, but is {flags[1]}: "):
        main([*flags, str(tmp_path)])


@pytest.mark.parametrize("stream", ["stdout", "stderr", "stdin"])
def test_a_closed_stream_is_no_mishap(stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a")
    monkeypatch.setattr(sys, "argv", ["dgmrun", "compare", str(tmp_path)])
    monkeypatch.setattr(sys, stream, None)
    assert cli.main() == 0
    getattr(sys, stream).close()


def test_a_damaged_configuration_is_named_by_its_line(tmp_path: Path) -> None:
    run = write(tmp_path / "a")
    (run.path / "config.yaml").write_text("a: 1\nb: {[\nc: 2\n")
    with pytest.raises(Mistake, match=r"/config.yaml must be the configuration of a run, but: .* in line 4") as caught:
        Run.open(run.path)
    assert "unicode" not in str(caught.value)
    assert caught.value.hint == f"a copy of it; or dgmrun weights={run.path}/weights.safetensors ... starts a new run"


def test_csv_of_runs_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", {"exact": estimate(-20.5)})
    write(tmp_path / "b", settings=config(name="one, two", model={"hidden": 8}))
    one, two = csv.DictReader(io.StringIO(printed(capsys, tmp_path, "--csv", "--runs")))
    expected = {
        "path": str(tmp_path / "a"),
        "name": "a",
        "model": "rbm",
        "objective": "pcd",
        "dataset": "digits",
    }
    expected |= {"seed": "0", "status": "done", "steps": "200", "seconds": "1.25", "model.hidden": "10"}
    parts = {"value": "-20.5", "standard_error": "0.25", "low": "-30.0", "high": "", "kind": "exact"}
    told = {"split": "test", "given": "", "quantity": "log_likelihood", "unit": "nats"}
    expected |= {f"likelihood.exact.{part}": text for part, text in (parts | told).items()}
    assert one == expected
    assert (two["name"], two["model.hidden"], two["likelihood.exact.value"]) == ("one, two", "8", "")


def test_json_of_runs_is_a_list_of_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "a")
    (run.path / "results.json").write_text('{"path": "elsewhere", "train": {"seconds": null}}')
    text = printed(capsys, tmp_path, "--json", "--runs")
    assert json.loads(text) == [{"path": str(run.path), "train": {"seconds": None}}]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("results.json", "[]"),
        ("results.json", "{"),
        ("results.json", '{"bridge": {"a": {"value": "x"}}}'),
        ("results.json", "[" * 100_000),
        ("config.yaml", "a: ${b}"),
        ("config.yaml", "a: &a [*a]"),
        ("config.yaml", "a: 2001-99-99"),
    ],
)
def test_a_malformed_run_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str) -> None:
    write(tmp_path / "a")
    run = write(tmp_path / "b")
    (run.path / file).write_text(text)
    assert [entry.name for entry in read([tmp_path])] == ["a"]
    err = capsys.readouterr().err
    assert err.startswith(f"warning: {run.path} is left out: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "results",
    [
        "{}",
        '{"train": {}, "dataset": {"splits": {}}, "likelihood": {"exact": {"value": null}}, "status": null}',
        '{"bridge": {"a": {"value": 1.0}}}',
    ],
)
def test_missing_figures_are_no_mishap(tmp_path: Path, capsys: pytest.CaptureFixture[str], results: str) -> None:
    (write(tmp_path / "a").path / "results.json").write_text(results)
    for form in FORMS:
        assert printed(capsys, tmp_path, *form)


@pytest.mark.parametrize("part", ["warnings", "diagnostics", "settings", "curve", "interval", "standard_error"])
def test_a_part_that_is_null_is_no_mishap(tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str) -> None:
    for name in "ab":
        score(write(tmp_path / name, {"exact": estimate(-20.0, **{part: None})}), LOG_PROB)
    for form in FORMS:
        assert printed(capsys, tmp_path, *form)


def test_a_terminal_obeys_nothing_in_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", settings=config(name="\x1b[31m[bold]red\ud83d"))
    write(tmp_path / "b", settings=config(name="b"))
    assert printed(capsys, tmp_path, "--runs").splitlines()[2].startswith("?[31m[bold]red")


def test_a_narrow_terminal_gets_several_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", {method: estimate(-20.0) for method in ("exact", "ais", "reverse_ais")})
    monkeypatch.setattr("dgmrun.report.terminal.WIDE", 60)
    lines = printed(capsys, tmp_path, "--runs").splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(line.startswith("a  ") for line in lines) == 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--xml"], "`dgmrun compare` has no --xml"),
        (["--csv", "--json"], "not allowed with argument"),
        (["--latex", "--runs"], "`--runs` must be alone, or with --csv or --json, but is with --latex"),
        (["nowhere"], "`DIR` must be a folder with runs, but nowhere is no folder"),
        ([], "`DIR` must be a folder with runs, but outputs has none"),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str) -> None:
    (tmp_path / "outputs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Mistake, match=message):
        main(argv)


def test_no_readable_run_is_a_mistake(tmp_path: Path) -> None:
    (write(tmp_path / "a").path / "results.json").write_text("[]")
    with pytest.raises(Mistake, match="`DIR` must have a run that can be read"):
        main([str(tmp_path)])


def test_who_is_in_training_no_longer_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "run")
    run.merge({"status": "running", "train": {"complete": False}})
    with run.training():
        assert main([str(tmp_path), "--json"]) is None
        assert '"status": "running"' in capsys.readouterr().out
    assert main([str(tmp_path), "--json"]) is None
    assert '"status": "killed"' in capsys.readouterr().out


def test_weights_that_were_given_are_of_no_objective(tmp_path: Path) -> None:
    trained, given = write(tmp_path / "trained"), write(tmp_path / "given")
    results = json.loads((given.path / "results.json").read_text())
    (given.path / "results.json").write_text(json.dumps({key: results[key] for key in results if key != "train"}))
    settings = {entry.path.name: entry.settings["objective"] for entry in read([tmp_path])}
    assert settings == {"trained": trained.config["choices"]["objective"], "given": "none"}
