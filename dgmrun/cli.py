"""Command-line interface: dispatches the arguments and returns the exit status; heavy imports are postponed.

dgmrun [WORD ...] [group=option ...] [key=value ...] [other Hydra flags]
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgmrun import __version__, children
from dgmrun.command import launcher, process
from dgmrun.command.cores import Cores, check_threads
from dgmrun.errors import (
    DONE,
    OF_THE_SYSTEM,
    Interrupted,
    Mistake,
    RunFailed,
    is_of_memory,
    of_the_system,
    printable,
    render,
)
from dgmrun.paths import tools

if TYPE_CHECKING:
    from dgmrun.command.arguments import Arguments
    from dgmrun.run.directory import Run

LESS_MEMORY = "smaller sizes, or more memory: ulimit -v and the job's limit say how much may be taken"
log = logging.getLogger("dgmrun")


class Lines(logging.Formatter):
    """Formatter that replaces control characters, so that no message can control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the message with all lines printable."""
        return "\n".join(map(printable, super().format(record).splitlines()))


class Log(logging.FileHandler):
    """A file of messages; that a disk has no room for them is told by whatever else is written there."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Shows the traceback of a bug."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        """Closes the file, as full as it may be."""
        with suppress(OSError):
            super().close()


def main() -> int:
    """Entry point of the console script."""
    process.settle()
    for number in children.STOPS:  # a program in the background may start with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # a shell has closed it, as by >&-
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    children.attach()
    try:
        _command(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        for number in children.STOPS:  # one more must not cut the last words short
            signal.signal(number, signal.SIG_IGN)
        return _told(error)
    return DONE


def _told(error: BaseException) -> int:
    """Says in one line how a command ended; returns its exit status. A bug is raised."""
    if isinstance(error, Mistake):
        return render(error)
    if isinstance(error, KeyboardInterrupt):
        return render(Interrupted("interrupted"))
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM:
        return render(of_the_system(error, "a file"))
    if is_of_memory(error):
        return render(RunFailed("the machine must have memory for this command, but has not", LESS_MEMORY))
    return _bug(error)


def _bug(error: BaseException) -> int:
    """Shows a traceback; in a child process, it is only in run.log."""
    if not children.is_child():
        raise error
    return render(RunFailed(f"{type(error).__name__}: {error}".splitlines()[0], "its run.log has the traceback"))


def _command(argv: list[str]) -> None:
    if {"-sc", "--shell-completion"} & set(argv):
        from dgmrun.command import completion

        completion.main(argv)
    elif argv and argv[0] in tools():
        import_module(f"dgmrun.tools.{argv[0]}").main(argv[1:])
    elif not argv or {"-h", "--help"} & set(argv):
        from dgmrun.command.help import text

        given = re.search(r"--config-dir[= ](.+?)(?: -|$)", " ".join(argv))
        print(text(import_module("dgmrun.run.own").search_path(given[1]) if given else ()))
    elif "--version" in argv:
        print(f"dgmrun {__version__}")
    elif children.is_child() or (of := launcher.launched()) is None:
        _run(argv, Cores())
    elif of.place == 0:
        _run(launcher.completed(of, argv), Cores())


def run(argv: list[str]) -> Path:
    """Does the same from Python as the command line does for one run; returns its directory.

    Raises:
        Mistake: the command is for several runs or for none, or a setting is invalid.
    """
    from dgmrun.command import arguments

    if strange := [word for word in argv if not isinstance(word, str)]:
        raise Mistake(f"each word must be a text, but one is {strange[0]!r}", 'dgmrun.train("model=rbm", "seed=1")')
    given, kept = arguments.parse(argv), list(sys.argv)
    of_ranks = {key: os.environ[key] for key in children.OF_RANKS if key in os.environ}
    if given.is_sweep or given.only_prints:
        raise Mistake(f"the words must be those of one run, but are {shlex.join(argv)}", "in a shell, dgmrun ...")
    try:
        made = _run(argv)
    finally:
        sys.argv[:] = kept
        os.environ.update(of_ranks)
    assert made is not None
    return made.path


def _run(argv: list[str], cores: Cores | None = None) -> Run | None:
    """Creates a run or opens an existing one, and executes its stages; returns it, or None if there is not just one.

    If this process is for nothing else, `cores` says how many threads it takes.
    Stages are replaced by the override `stages=[...]` in `sys.argv` itself, and a new run is given as `run=...`, so
    that anything that starts this command again (a rank of a distributed training, a requeued job) continues the same
    run.
    """
    from dgmrun.command import arguments, compose
    from dgmrun.run import own
    from dgmrun.run.directory import Run
    from dgmrun.workbench import build
    from dgmrun.workbench.imports import told

    check_threads()
    given = arguments.parse(argv)
    if given.is_sweep:
        _sweep(given)
        return None
    if (composed := compose.compose(given)) is None:
        return None
    config, directory = composed
    _check_is_one(config, argv)
    if not children.is_rank():
        children.leave_others(config["device"]["num_nodes"])
    build.check_targets(config, given.search_path)
    own.remember(given.search_path)
    with _log(), told():
        completed = build.completed(config)
        from dgmrun.command import execution
        from dgmrun.workbench.setup import Setup

        if cores is not None:
            cores.share()
        setup = Setup(completed, given.search_path, None if given.run is None else directory)
        if given.run is not None and Run.open(directory).is_claimed:
            run, stages = execution.take_up(setup, directory, given.names_stages)
        else:
            run, stages = execution.create(setup, directory, shlex.join(["dgmrun", *argv])), config["stages"]
        sys.argv[1:] = arguments.reentry(given, run.path, stages)
        with _log_file(run.path / "run.log"):
            execution.execute(run, setup.of_run(run.path), stages)
        if not children.is_rank():
            execution.farewell(run)
    return run


def _check_is_one(config: Mapping[str, Any], argv: list[str]) -> None:
    """Raises Mistake if one run is asked for what only a sweep has."""
    for key, value, only in (("search", config.get("search"), None), ("sweep.on", config["sweep"]["on"], "here")):
        if value != only:
            must = f"`{key}` must be {'null' if only is None else only} but in a sweep"
            raise Mistake(must, shlex.join(["dgmrun", "-m", *argv]))


def _sweep(given: Arguments) -> None:
    """Executes the jobs of a sweep or of a search."""
    from dgmrun.command import compose, search, sweep

    if search.is_search(given):
        search.run(given)
        return
    with sweep.registered(given.search_path):
        compose.compose_sweep(given)


@contextmanager
def _log() -> Iterator[None]:
    """Logs messages to stderr and captures warnings of libraries; of several processes, only one logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    log.addHandler(handler)
    log.setLevel(logging.ERROR if children.is_silent() else logging.INFO)
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
    """Logs the same messages, warnings and tracebacks to a file, with timestamps."""
    handler = Log(file)
    handler.setFormatter(Lines("%(asctime)s %(message)s"))
    loggers = (log, logging.getLogger("py.warnings"))
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    except Exception as error:
        if not isinstance(error, Mistake) or error.__cause__ is not None:
            handler.emit(log.makeRecord("dgmrun", logging.ERROR, __file__, 0, str(error), (), sys.exc_info()))
        raise
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
