"""One bound for all: `python examples/one_bound.py bound.png` trains six objectives on digits and draws their bounds.

Solid: bounds on -log p(x) of the model. Dashed: chain bounds, of one step of a chain from the data, which are no
figures of the model; see docs/one_bound.md. All are means over ten batches. A table beside the picture has the last
values.
"""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from pathlib import Path
from statistics import fmean

from matplotlib import rc_context

import dgmrun
from dgmrun.pictures.drawing import STYLE, Picture

WORDS = {
    "VAE": "model=vae",
    "IWAE": "model=vae objective=iwae",
    "diffusion": "model=diffusion model.steps=100 model.network=mlp model.width=256",
    "denoising": "model=dae",
    "CD-1": "model=rbm objective=cd objective.chain_bound=true",
    "cd_policy": "model=rbm objective=cd_policy",
}
"""What tells the runs apart, by their names."""
SAME = "optimizer=adam optimizer.lr=0.001 dataset=digits".split()
LOGGED = ("train/bound", "train/chain_bound")
TOGETHER = 10
"""Number of logged values that are averaged."""


def main() -> None:
    """Trains one run for each objective, and draws."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path, help="where the picture goes, and the table beside it")
    parser.add_argument("--steps", type=int, default=3000, help="number of steps of each training")
    parser.add_argument("--runs", type=Path, default=Path("outputs/one_bound"), help="folder of the runs")
    asked = parser.parse_args()
    found = {}
    for name, words in WORDS.items():
        limits = (f"trainer.max_steps={asked.steps}", f"hydra.run.dir={asked.runs / name}", f"name={name}")
        found[name] = curve(dgmrun.train(*words.split(), *SAME, *limits, "train").path)
    draw(found).savefig(asked.picture)
    with asked.picture.with_suffix(".csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("objective", "logged as", "nats"))
        table.writerows((name, tag, values[-1]) for name, (tag, _, values) in found.items())


def curve(run: Path) -> tuple[str, list[int], list[float]]:
    """Returns what a run logs its bound as, the steps, and the bounds in nats, each a mean of ten."""
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    mine = [row for row in rows if row["tag"] in LOGGED]
    last = range(min(TOGETHER, len(mine)) - 1, len(mine))
    means = [fmean(float(row["value"]) for row in mine[max(0, place - TOGETHER + 1) : place + 1]) for place in last]
    return mine[0]["tag"], [int(mine[place]["step"]) for place in last], means


@rc_context(STYLE)
def draw(found: dict[str, tuple[str, list[int], list[float]]]) -> Picture:
    """Bounds over steps."""
    figure = Picture(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, (tag, steps, values) in found.items():
        axes.plot(steps, values, "-" if tag == LOGGED[0] else "--", label=f"{name} ({tag.partition('/')[2]})")
    axes.set(xlabel="steps", ylabel="bound, nats")
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
