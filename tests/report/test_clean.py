"""`dgmrun clean` over run directories written by hand."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dgmrun.errors import Mistake
from dgmrun.run.directory import Run
from dgmrun.run.locks import locked
from dgmrun.tools.clean import main

MADE = (
    *("run.log", "samples.npz", "non-finite-batch.safetensors", "events.out.tfevents.1795260597.vm.997.0"),
    *("weights.safetensors", "weights-ema.safetensors", "per_example/test-exact.npz", "figures/filters.png"),
    *(
        ".results.json.a1b2c3d4.writing",
        ".weights.safetensors.a1b2c3d4.writing",
        "per_example/.test-exact.npz.a1b2c3d4.writing",
    ),
)
CHECKPOINTS = (
    *(f"checkpoints/{name}.ckpt{end}" for name in ("last", "previous", "best") for end in ("", ".sha256")),
    *("checkpoints/.last.ckpt.a1b2c3d4.writing", "checkpoints/.last.ckpt.sha256.a1b2c3d4.writing"),
)
THEIRS = (
    *("notes.txt", ".config.yaml.swp", "results.json.bak", "weights.safetensors.orig", "paper/run.log"),
    *("checkpoints/kept.ckpt", "figures/plot.eps", "per_example/mine.csv", "more/checkpoints/last.ckpt"),
)


class Typed(io.StringIO):
    """What a person types at a terminal."""

    def isatty(self) -> bool:
        return True


class Interrupted(Typed):
    """Ctrl-C at the question."""

    def readline(self, size: int | None = -1, /) -> str:
        raise KeyboardInterrupt


def write(path: Path, status: str = "failed", files: tuple[str, ...] = MADE + CHECKPOINTS, **results: Any) -> Path:
    known = {"dgmrun": "0", "status": status, "error": None, "train": {"steps": 200, "complete": status == "done"}}
    Run.create(path, {"seed": 0}, known | results)
    add(path, *files)
    return path


def add(path: Path, *files: str) -> None:
    for name in files:
        (path / name).parent.mkdir(exist_ok=True, parents=True)
        (path / name).write_bytes(b"x" * 100)


def below(path: Path) -> set[str]:
    return {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr("sys.stdin", Typed(text))


def test_failed_runs_go_with_all_that_dgmrun_made(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(outputs / "digits" / "rbm-pcd" / "a", error="`loss` is not finite\nat all")
    kept = {status: write(outputs / status, status) for status in ("done", "running", "interrupted")}
    before = {path: below(path) for path in kept.values()}
    main(["--failed", "--yes"])
    assert sorted(path.name for path in outputs.iterdir()) == ["done", "interrupted", "running"]
    assert {path: below(path) for path in kept.values()} == before
    out, err = capsys.readouterr()
    assert "outputs/digits/rbm-pcd/a" in out
    assert "failed at step 200: `loss` is not finite\n" in out
    assert out.splitlines()[-1].startswith("removed the files of 1 run, 2.")
    assert out.endswith(" kB\n")
    assert err == ""


def test_checkpoints_of_trained_runs_go_and_nothing_else(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = write(outputs / "trained", "done")
    scored = write(outputs / "scored", "failed", train={"steps": 7, "complete": True})
    untrained = [write(outputs / status, status, train={"complete": False}) for status in ("failed", "running")]
    main(["--checkpoints", "--yes"])
    for path in (trained, scored):
        assert below(path) == {*MADE, "config.yaml", "results.json"}
        assert not (path / "checkpoints").exists()
    for path in untrained:
        assert below(path) == {*MADE, *CHECKPOINTS, "config.yaml", "results.json"}
    out = capsys.readouterr().out
    assert "800 B  trained, 200 steps" in out
    assert "2 runs, 1.6 kB: the rest stays; such a run can still be scored, but not trained longer" in out


def test_a_failure_after_the_training_is_told(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(outputs / "a", error="out of memory", train={"steps": 7, "complete": True})
    with pytest.raises(Mistake):
        main(["--failed"])
    assert "failed after its training: out of memory" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "removed"), [("y\n", True), ("yes\n", True), ("Y", True), ("\n", False)])
def test_the_answer(
    outputs: Path, types: Callable[[str], None], capsys: pytest.CaptureFixture[str], answer: str, removed: bool
) -> None:
    path = write(outputs / "a", files=())
    types(answer)
    main(["--failed"])
    out, err = capsys.readouterr()
    assert path.exists() != removed
    assert err.startswith("remove the files of 1 run, ")
    assert "? [y/N] " in err
    assert ("nothing was removed" in err) != removed
    assert ("removed the files" in out) == removed


@pytest.mark.parametrize("answer", ["", "n\n", "no\n", "yess\n", "ye", " \n", "yes please\n", "a\n"])
def test_every_other_answer_and_the_end_of_input_remove_nothing(
    outputs: Path, types: Callable[[str], None], capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    before = below(write(outputs / "a"))
    types(answer)
    main(["--failed"])
    assert below(outputs / "a") == before
    assert capsys.readouterr().err.endswith("nothing was removed\n")


def test_an_interrupt_removes_nothing(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = below(write(outputs / "a"))
    monkeypatch.setattr("sys.stdin", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        main(["--failed"])
    assert below(outputs / "a") == before


@pytest.mark.parametrize("stdin", [io.StringIO("y\n"), None])
def test_nobody_to_ask(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stdin: Any
) -> None:
    before = below(write(outputs / "a b"))
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(
        Mistake, match="`--yes` must be given where standard input is no terminal, but is not"
    ) as caught:
        main(["outputs/a b", "--failed"])
    assert caught.value.hint == "dgmrun clean --yes 'outputs/a b' --failed"
    assert caught.value.status == 2
    assert "outputs/a b" in capsys.readouterr().out
    assert below(outputs / "a b") == before


@pytest.mark.parametrize("argv", [["--failed"], ["--checkpoints"], ["--failed", "--yes"]])
def test_nothing_to_remove(outputs: Path, capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    write(outputs / "a", "done", files=MADE)
    main(argv)
    assert capsys.readouterr() == ("nothing to remove\n", "")


def test_what_dgmrun_did_not_make_stays(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(outputs / "a")
    add(path, *THEIRS)
    (path / "empty").mkdir()
    main(["--failed", "--yes"])
    assert below(path) == set(THEIRS)
    assert (path / "empty").is_dir()
    kept = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kept ")]
    listed = ".config.yaml.swp, checkpoints/, empty/, figures/, more/ and 5 more"
    assert kept == [f"kept outputs/a, for what is not of this run: {listed}"]


def test_checkpoints_of_the_user_stay(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(outputs / "a", "done")
    add(path, *THEIRS)
    main(["--checkpoints", "--yes"])
    assert below(path) == {*MADE, *THEIRS, "config.yaml", "results.json"}
    assert capsys.readouterr().out.endswith("kept outputs/a/checkpoints, for what is not of this run: kept.ckpt\n")


def test_runs_below_a_run_are_runs_of_their_own(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = below(write(outputs / "a" / "done", "done"))
    write(outputs / "a")
    write(outputs / "b" / "failed")
    write(outputs / "b")
    main(["--failed", "--yes"])
    assert below(outputs / "a") == {f"done/{name}" for name in before}
    assert not (outputs / "b").exists()
    kept = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kept ")]
    assert kept == ["kept outputs/a, for what is not of this run: done/"]


def test_folders_go_up_to_the_named_one(outputs: Path) -> None:
    for name in ("x/y/a", "x/y/b", "z"):
        write(outputs / name)
    write(outputs / "w" / "a", "done")
    (outputs / "unrelated").mkdir()
    main(["outputs/x/y", "outputs/z", "outputs/w", "--failed", "--yes"])
    assert list((outputs / "x" / "y").iterdir()) == []
    assert list((outputs / "z").iterdir()) == []
    assert (outputs / "unrelated").is_dir()
    main(["--checkpoints", "--yes", "outputs/w/a"])
    assert (outputs / "w" / "a" / "results.json").is_file()


def test_a_folder_named_twice_stays(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(outputs / "x" / "a")
    main(["outputs", "outputs/../outputs/x", "--failed", "--yes"])
    assert list((outputs / "x").iterdir()) == []
    out, err = capsys.readouterr()
    assert "removed the files of 1 run," in out
    assert err == ""


def test_links_are_not_followed_when_finding(outputs: Path, tmp_path: Path) -> None:
    before = below(write(tmp_path / "elsewhere" / "a"))
    (outputs / "link").symlink_to(tmp_path / "elsewhere")
    (outputs / "run").symlink_to(tmp_path / "elsewhere" / "a")
    main(["--failed", "--yes"])
    assert below(tmp_path / "elsewhere" / "a") == before
    assert (outputs / "link").is_symlink()


def test_a_linked_folder_is_refused_by_name(outputs: Path, tmp_path: Path) -> None:
    before = below(write(outputs / "a"))
    (tmp_path / "link").symlink_to(outputs)
    for name in ("link", "link/", "link/."):
        with pytest.raises(Mistake, match="`DIR` must be a folder itself, but link is a link") as caught:
            main([name, "--failed", "--yes"])
        assert caught.value.hint == f"dgmrun clean {outputs} ..."
    assert below(outputs / "a") == before


@pytest.mark.parametrize(
    "name", ["results.json", "config.yaml", "checkpoints", "figures", "weights.safetensors", "x/y"]
)
def test_a_run_with_a_link_is_left_alone(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = write(outputs / "a")
    (path / "x").mkdir()
    if (place := path / name).exists():
        place.rename(tmp_path / "precious")
    else:
        (tmp_path / "precious").touch()
    place.symlink_to(tmp_path / "precious")
    before = below(path), below(tmp_path)
    main(["--failed", "--yes"])
    assert (below(path), below(tmp_path)) == before
    out, err = capsys.readouterr()
    assert out == "nothing to remove\n"
    assert err.startswith(f"warning: {path} is left alone: ")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("results.json", "["),
        ("results.json", "[]"),
        ("results.json", '{"status": "failed"}'),
        ("results.json", "[" * 100_000),
        ("config.yaml", "- a"),
        ("config.yaml", "a: ${b}"),
    ],
)
def test_what_is_no_run_is_left_alone(outputs: Path, capsys: pytest.CaptureFixture[str], file: str, text: str) -> None:
    path = write(outputs / "a")
    (path / file).write_text(text)
    before = below(path)
    main(["--failed", "--yes"])
    assert below(path) == before
    out, err = capsys.readouterr()
    assert out == "nothing to remove\n"
    assert err.startswith(f"warning: {path} is left alone: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("missing", ["results.json", "config.yaml"])
def test_half_a_run_is_no_run(outputs: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    path = write(outputs / "a")
    (path / missing).unlink()
    main(["--failed", "--yes"])
    assert below(path) >= set(MADE)
    assert capsys.readouterr() == ("nothing to remove\n", "")


@pytest.mark.parametrize(("flag", "status"), [("--failed", "failed"), ("--checkpoints", "done")])
def test_a_run_in_training_is_left_alone(
    outputs: Path, capsys: pytest.CaptureFixture[str], flag: str, status: str
) -> None:
    before = below(write(outputs / "a", status))
    with Run.open(outputs / "a").training():
        main([flag, "--yes"])
    assert below(outputs / "a") == before
    assert capsys.readouterr() == (
        "nothing to remove\n",
        f"warning: {outputs / 'a'} is left alone: a live process is training it\n",
    )


@pytest.mark.parametrize("change", ["taken up", "in training", "gone"])
def test_what_happens_to_a_run_while_it_is_asked_counts(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    path, other = write(outputs / "a"), write(outputs / "b")

    class Slow(Typed):
        def readline(self, size: int | None = -1, /) -> str:
            if change == "taken up":
                Run(path).merge({"status": "running"})
            elif change == "in training":
                self.lock = locked(path / "checkpoints")
                self.lock.__enter__()
            else:
                path.rename(outputs / "moved")
            return "y\n"

    monkeypatch.setattr("sys.stdin", typed := Slow())
    main(["--failed"])
    if change == "in training":
        typed.lock.__exit__(None, None, None)
    assert below(outputs / "moved" if change == "gone" else path) == {
        *MADE,
        *CHECKPOINTS,
        "config.yaml",
        "results.json",
    }
    assert not other.exists()
    out, err = capsys.readouterr()
    assert "removed the files of 1 run," in out
    assert f"warning: {path} is left alone: " in err


@pytest.mark.parametrize("survived", range(len(MADE + CHECKPOINTS) + 1))
def test_a_kill_in_between_leaves_what_is_found_again(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    path, order, unlink = write(outputs / "a"), list[str](), Path.unlink

    def dying(file: Path) -> None:
        if len(order) == survived:
            raise KeyboardInterrupt
        order.append(file.name)
        unlink(file)

    monkeypatch.setattr(Path, "unlink", dying)
    with pytest.raises(KeyboardInterrupt):
        main(["--failed", "--yes"])
    assert Run.open(path).results["status"] == "failed"
    monkeypatch.setattr(Path, "unlink", lambda file: (order.append(file.name), unlink(file)))
    main(["--failed", "--yes"])
    assert not path.exists()
    assert order[-2:] == ["config.yaml", "results.json"]
    assert len(order) == len(MADE + CHECKPOINTS) + 2


def test_an_early_failure_goes_too(outputs: Path) -> None:
    path = write(outputs / "a", files=(), train={})
    (path / "checkpoints").mkdir()
    main(["--failed", "--yes"])
    assert list(outputs.iterdir()) == []


def test_a_terminal_obeys_nothing_in_a_run(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(outputs / "\x1b[31mred", error="\x1b[2J[bold]gone")
    main(["--failed", "--yes"])
    out, _ = capsys.readouterr()
    assert "\x1b" not in out
    assert "outputs/?[31mred" in out
    assert "?[2J[bold]gone" in out


@pytest.mark.parametrize(("size", "shown"), [(999, "999 B"), (20_000, "20.0 kB"), (3_050_000_000, "3.0 GB")])
def test_sizes(outputs: Path, capsys: pytest.CaptureFixture[str], size: int, shown: str) -> None:
    add(write(outputs / "a", "done", files=()), "checkpoints/last.ckpt")
    os.truncate(outputs / "a" / "checkpoints" / "last.ckpt", size)
    main(["--checkpoints", "--yes"])
    assert capsys.readouterr().out.endswith(f"\nremoved the checkpoints of 1 run, {shown}\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "`dgmrun clean` one of the arguments --failed --checkpoints is required"),
        (["--failed", "--checkpoints"], "not allowed with argument"),
        (["--fail"], "is required"),
        (["--failed", "--all"], "has no --all"),
        (["nowhere", "--failed"], "`DIR` must be a folder with runs, but nowhere is no folder"),
    ],
)
def test_mistakes(outputs: Path, argv: list[str], message: str) -> None:
    before = below(write(outputs / "a"))
    with pytest.raises(Mistake, match=message):
        main(argv)
    assert below(outputs / "a") == before


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, dgmrun.tools.clean; print({'torch', 'lightning', 'hydra', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
