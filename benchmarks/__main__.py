"""`python -m benchmarks`: one table, a line for each comparison. It reports and does not judge."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks import _data
from benchmarks._compare import HEADER


def main() -> None:
    """Measures what was asked for."""
    subjects = sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py"))
    parser = ArgumentParser(prog="python -m benchmarks", description="dgmrun beside its peers, on the CPU")
    parser.add_argument("--only", choices=subjects, help="one subject")
    parser.add_argument("--quick", action="store_true", help="two short rounds, to see that all works")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        data = _data.overrides(Path(folder))
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {data[0]}\n{HEADER}", flush=True)
        for subject in [arguments.only] if arguments.only else subjects:
            for comparison in import_module(f"benchmarks.{subject}").comparisons(data, arguments.quick):
                print(comparison.row(rounds=2 if arguments.quick else 5), flush=True)


if __name__ == "__main__":
    main()
