"""A sweep of tiny runs, two at a time: forked jobs beside fresh processes."""

from __future__ import annotations

from functools import partial
from tempfile import TemporaryDirectory

from benchmarks._compare import Comparison
from benchmarks.startup import seconds

TINY = "model=rbm model.hidden=10 trainer.max_steps=200 log_z.methods=[exact] train log_z sweep.jobs=2"
"""On the bundled digits; log Z is exact."""


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """The same command twice. The imports of a fresh process are most of what it does."""
    jobs = 4 if quick else 60
    ours, theirs = (partial(swept, jobs, fresh) for fresh in ("false", "true"))
    return [Comparison(f"sweep of {jobs} tiny runs, sweep.fresh=true", "s", ours, theirs, "<= 0.33")]


def swept(jobs: int, fresh: str) -> float:
    """Seconds of a sweep over seeds."""
    with TemporaryDirectory() as folder:
        seeds = ",".join(map(str, range(jobs)))
        where = (f"sweep.fresh={fresh}", f"hydra.sweep.dir={folder}")
        return seconds("-m", "dgmrun", "-m", *TINY.split(), f"seed={seeds}", *where)
