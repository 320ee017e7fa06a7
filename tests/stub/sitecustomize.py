"""Plays the jobs of a sweep and the ranks of a training, importing nothing heavy.

In processes that have this folder in PYTHONPATH: of `python -m dgmrun ... run=DIR ...` nothing else is executed. What
becomes of one is its `objective.fate`, with digits that tell namesakes apart: well, raises, diverges, waits (to be
killed, until there is a file `healed`), endless (until it is interrupted), deaf (dies of any signal), or, of rank
1 alone, `killed 1` or `raises 1`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def play(path: Path, overrides: list[str]) -> int:
    """A run from where it stands to its fate; gives the exit status."""
    from dgmrun import children
    from dgmrun.errors import Interrupted, Mistake, RunFailed, render
    from dgmrun.run.directory import Run
    from dgmrun.stages import finish

    children.attach()
    if "objective" not in Run.open(path).config:
        return render(Mistake("`objective` of a run must be a group of keys"))
    config = changed(Run.open(path).config, overrides)
    if config["objective"].get("k") == 0:
        return render(Mistake("`objective.k` must be at least 1, but is 0"))
    run = Run.open(path) if Run.open(path).is_claimed else Run.create(path, config, {})
    rank = os.environ.get("LOCAL_RANK")
    if rank is None or rank == "0":
        run.merge({"status": "running", "began": time.time(), "train": {"steps": 4}})
        (run.path / "weights.safetensors").write_bytes(path.name.encode())
    fate = config["objective"]["fate"]
    try:
        end = meet(fate if " " in fate else fate.rstrip("0123456789"))
    except KeyboardInterrupt:
        run.merge({"status": "interrupted"})
        return render(Interrupted("interrupted at step 4; all is saved", f"dgmrun run={run.path}"))
    if end:
        run.merge({"status": "failed"})
        return render(RunFailed(end))
    run.merge({"status": "done", "train": {"steps": 6, "complete": True}})
    if "log_z" in config["stages"]:
        run.merge({"log_z": {name: {"settings": config["log_z"][name]} for name in config["log_z"]["methods"]}})
    for word in config["stages"]:
        finish(run, word, config)
    return 0


def meet(fate: str) -> str:
    """What happens; gives the error that it ends with, if any."""
    if fate == "deaf":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if fate == "waits" and Path("healed").exists():
        return ""
    if fate in ("waits", "endless", "deaf") or (" " in fate and os.environ["LOCAL_RANK"] != fate[-1]):
        Path(f"waiting{os.environ.get('LOCAL_RANK', '')}").write_text(str(os.getpid()))
        time.sleep(600)
    if fate.startswith("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"raises": "RuntimeError: as it should", "diverges": "`loss` is not finite"}.get(fate.split()[0], "")


def changed(config: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """A configuration with what the command says otherwise."""
    import yaml

    for override in overrides:
        key, _, value = override.partition("=")
        *sections, leaf = key.split(".")
        place = config
        for section in sections:
            place = place[section]
        place[leaf] = yaml.safe_load(value)
    return config


def main(argv: list[str]) -> None:
    """Plays, where this process is one of those."""
    words = argv[argv.index("dgmrun") + 1 :] if "dgmrun" in argv and "-m" in argv else []
    (run, *_) = [word.partition("=")[2].strip("'\"") for word in words if word.startswith(("run=", "'run="))] or [None]
    if run is not None:
        others = [word for word in words if "=" in word and not word.startswith(("-", "run=", "'run=", "+"))]
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            status = play(Path(run), others)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            status = 1
        sys.stderr.flush()
        os._exit(status)


def serve() -> None:
    """Has the forks of a server play, and the server import nothing heavy."""
    import runpy

    from dgmrun.command import warm

    warm.prepare = lambda: None  # type: ignore[assignment]
    runpy.run_module = lambda *_, **__: main(["-m", "dgmrun", *sys.argv[1:]])  # type: ignore[assignment]


main(sys.orig_argv)
if "import forks" in sys.orig_argv[-1]:
    serve()
