"""`python -m benchmarks`: a table and a picture of dgmrun beside its peers. It reports and does not judge."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from importlib import import_module
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import _data
from benchmarks._compare import HEADER, Comparison
from benchmarks._waits import WAITS
from dgmrun.errors import Mistake

SUBJECTS = sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py"))


def parser() -> ArgumentParser:
    """What may be asked for."""
    made = ArgumentParser(
        prog="python -m benchmarks",
        description="dgmrun beside its peers on the CPU, and the limits of the machine",
        epilog=f"subjects: {', '.join(SUBJECTS)}; of --against: {', '.join(WAITS)}",
    )
    kind = made.add_mutually_exclusive_group()
    kind.add_argument("--against", metavar="COMMIT", help="beside a commit of dgmrun in an environment of its own")
    kind.add_argument("--limits", action="store_true", help="the limits of the machine alone")
    kind.add_argument("--growth", action="store_true", help="how time and memory grow")
    kind.add_argument("--gpu", action="store_true", help="beside eager Lightning with a DataLoader, on a GPU")
    made.add_argument("--only", metavar="SUBJECT", nargs="+", help="some subjects")
    made.add_argument("--quick", action="store_true", help="two short rounds, to see that all works")
    made.add_argument("--folder", type=Path, help="where to write; outputs/benchmarks/TIME_COMMIT if not given")
    return made


def main() -> None:
    """Measures what was asked for."""
    made = parser()
    arguments = made.parse_args()
    if arguments.only and (arguments.limits or arguments.growth or arguments.gpu):
        made.error("`--only` must be left out of --limits, --growth and --gpu, which have no subjects")
    known = WAITS if arguments.against else SUBJECTS
    for subject in arguments.only or ():
        if subject not in known:
            made.error(f"`--only` must be among {', '.join(known)}, but has {subject}")
    try:
        with TemporaryDirectory() as folder:
            measure(arguments, Path(folder))
    except Mistake as mistake:
        made.exit(2, f"error: {mistake}\n")
    except KeyboardInterrupt:
        made.exit(130, "error: interrupted\n")


def comparisons(arguments: Namespace, folder: Path) -> Iterable[Comparison]:
    """Those that were asked for, made one after another.

    Raises:
        Mistake: there is no such commit, or no GPU.
    """
    if arguments.against:
        from benchmarks import _against

        return _against.comparisons(arguments.against, arguments.only or WAITS, folder, arguments.quick)
    data = _data.overrides(folder)
    if arguments.gpu:
        from benchmarks import _gpu

        return _gpu.comparisons(data, arguments.quick)
    return chain.from_iterable(
        import_module(f"benchmarks.{subject}").comparisons(data, arguments.quick)
        for subject in arguments.only or SUBJECTS
    )


def measure(arguments: Namespace, folder: Path) -> None:
    """Measures, with files of its own in `folder`, and reports."""
    from benchmarks import _growth, _limits
    from benchmarks._report import Report

    rows = comparisons(arguments, folder)
    report = Report(arguments.folder)
    if arguments.growth:
        _growth.main(report, arguments.quick)
    elif not arguments.limits:
        report.print(HEADER)
        for comparison in rows:
            report.add(comparison.row(rounds=2 if arguments.quick else 5))
    if arguments.limits or not (arguments.growth or arguments.against or arguments.gpu or arguments.only):
        report.print("\n".join(("", *_limits.table(arguments.quick))))
    report.close()


if __name__ == "__main__":
    main()
