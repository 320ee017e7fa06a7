"""Words and argv in, exit code out. Nothing heavy is imported before a run is known to be wanted.

dgmrun [WORD ...] [group=option ...] [key=value ...] [other Hydra flags]
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EEXIST, EISDIR, ENAMETOOLONG, ENOSPC, ENOTDIR, EPERM, EROFS
from importlib import import_module
from pathlib import Path
from typing import Any

from dgmrun import __version__
from dgmrun.errors import DONE, INTERRUPTED, Mistake, RunFailed, render
from dgmrun.run import Run

TOOLS = ("compare", "list")
OF_THE_SYSTEM = (EACCES, EEXIST, EISDIR, ENAMETOOLONG, ENOSPC, ENOTDIR, EPERM, EROFS)
log = logging.getLogger("dgmrun")


def main() -> int:
    """The console script."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _command(sys.argv[1:])
    except Mistake as mistake:
        return render(mistake)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        elif error.errno in OF_THE_SYSTEM:
            return render(
                RunFailed(f"{error.filename or 'a file'}: {error.strerror}", "room and rights to write there")
            )
        else:
            raise
    except (MemoryError, RuntimeError) as error:
        if "allocate" not in str(error):
            raise
        return render(RunFailed("the machine must have memory for these sizes, but has not", "smaller ones"))
    return DONE


def _command(argv: list[str]) -> None:
    if not argv or {"-h", "--help"} & set(argv):
        from dgmrun.report.help import text

        print(text())
    elif argv[0] == "--version":
        print(f"dgmrun {__version__}")
    elif argv[0] in TOOLS:
        import_module(f"dgmrun.report.{argv[0]}").main(argv[1:])
    else:
        _run(argv)


def _run(argv: list[str]) -> None:
    """Creates a run or takes one up, and executes its stages.

    Stage words become the override `stages=[...]` in `sys.argv` itself, and a new run its `run=...`, so that whoever
    starts this command again (a child of a distributed training, a requeue) enters by the same door.
    """
    from dgmrun import build, compose

    command = shlex.join(["dgmrun", *argv])
    arguments = compose.parse(argv)

    def task(config: dict[str, Any], directory: Path) -> None:
        build.check_targets(config, arguments.search_path)
        with _log():
            from dgmrun import stages

            setup = stages.Setup(config)
            if arguments.run is None:
                run = stages.create(setup, directory, command)
            else:
                run = stages.take_up(setup, directory, named=bool(arguments.stages))
            sys.argv[1:] = compose.reentry(arguments, run.path, config["stages"])
            with _log_file(run.path / "run.log"):
                stages.execute(run, setup)
            _farewell(run)

    compose.run_with(arguments, task)


def _farewell(run: Run) -> None:
    log.info("\nrun         %s", run.path)
    log.info("next        dgmrun compare %s", shlex.quote(str(run.path.parent)))
    log.info("            tensorboard --logdir %s --samples_per_plugin images=0", shlex.quote(str(run.path)))


@contextmanager
def _log() -> Iterator[None]:
    """Messages to stderr, warnings of libraries to the log."""
    handler = logging.StreamHandler(sys.stderr)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").propagate = False
    try:
        yield
    finally:
        logging.captureWarnings(False)
        log.removeHandler(handler)


@contextmanager
def _log_file(file: Path) -> Iterator[None]:
    """The same and the warnings to a file, each with its time."""
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    loggers = (log, logging.getLogger("py.warnings"))
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
