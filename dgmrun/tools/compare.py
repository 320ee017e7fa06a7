"""`dgmrun compare`: settings and trained models side by side, best first."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryFile

from dgmrun.errors import Mistake
from dgmrun.report import export, overview, page
from dgmrun.report.runs import Entry, read
from dgmrun.report.terminal import Parser, plain
from dgmrun.run.directory import CONFIG

FORMS = {"csv": export.as_csv, "json": export.as_json, "markdown": export.as_markdown, "latex": export.as_latex}
OF_RUNS = {"csv": export.runs_as_csv, "json": export.runs_as_json}


def main(argv: list[str]) -> None:
    """Prints the runs below the given directories: one row for each setting, by its score over seeds.

    Raises:
        Mistake: the arguments are invalid, or a directory has no run.
    """
    arguments = parser().parse_args(argv)
    form = "html" if arguments.html is not None else arguments.form
    if arguments.runs and form not in (None, *OF_RUNS):
        raise Mistake(f"`--runs` must be alone, or with --csv or --json, but is with --{form}")
    if arguments.figures is not None:
        _check_folder(arguments.figures)
    if arguments.html is not None:
        _check_page(arguments.html)
    entries = read(arguments.dirs or [Path("outputs")])
    if arguments.html is not None:
        page.write(entries, arguments.html)
        print(plain(f"page        {arguments.html.absolute()}"), file=sys.stderr)
    elif arguments.form is not None:
        print((OF_RUNS if arguments.runs else FORMS)[arguments.form](entries), flush=True)
    elif arguments.runs:
        overview.show_runs(entries)
    else:
        overview.show_settings(entries, arguments.wide)
    if arguments.figures is not None:
        _draw(entries, Path(arguments.figures))


def parser() -> Parser:
    """Returns the argument parser."""
    parsed = Parser(
        prog="dgmrun compare",
        description="Settings side by side, best first: runs that differ in nothing but the seed are one row, and "
        "rows are told apart by their spread over seeds.",
        allow_abbrev=False,
    )
    parsed.add_argument("dirs", nargs="*", metavar="DIR", type=Path, help="folders with runs (outputs)")
    parsed.add_argument("--wide", action="store_true", help="every column, however wide; the terminal's width if not")
    parsed.add_argument("--runs", action="store_true", help="each run by itself, with all its figures")
    form = parsed.add_mutually_exclusive_group()
    told = {"csv": "for a spreadsheet", "json": "for a program", "markdown": "for a page", "latex": "for a paper"}
    for name, what in told.items():
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=f"the table, {what}")
    form.add_argument(
        "--html",
        nargs="?",
        const=Path("compare.html"),
        metavar="FILE",
        type=Path,
        help="a page to open, with curves and samples (compare.html)",
    )
    parsed.add_argument("--figures", metavar="FOLDER", help="draw scores, samples, log Z and proposals into it")
    return parsed


def _check_page(file: Path) -> None:
    """Refuses a file that is no page, which would be overwritten, and a folder that cannot be written to.

    Raises:
        Mistake: it is one of these.
    """
    if file.suffix != ".html":
        raise Mistake(f"`--html` must be a file that ends in .html, but is {file}", "--html compare.html")
    must = f"`--html` must be a file in a folder to write to, but is {file}"
    if file.is_dir():
        raise Mistake(must)
    _check_writable(file.absolute().parent, must)


def _draw(entries: list[Entry], folder: Path) -> None:
    from dgmrun.pictures import exhibit

    exhibit.write(entries, folder)


def _check_folder(figures: str) -> None:
    """Creates the directory for plots.

    Raises:
        Mistake: it is not writable, or is in a run, whose own plots would be overwritten.
    """
    folder = Path(figures).absolute()
    if not figures or any((above / CONFIG).is_file() for above in (folder, *folder.parents)):
        raise Mistake(f"`--figures` must be a folder outside of runs, but is {figures or 'empty'}")
    must = f"`--figures` must be a folder to write to, but is {figures}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Mistake(f"{must}: {error.strerror}") from None
    _check_writable(folder, must)


def _check_writable(folder: Path, must: str) -> None:
    """Refuses a folder to which nothing can be written.

    Raises:
        Mistake: it is one.
    """
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Mistake(f"{must}: {error.strerror}") from None
