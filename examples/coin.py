"""The likelihood of a coin, and the way of training up to its top: `python examples/coin.py` draws them in a new run.

One run is trained to step 1, then to step 2, 4 and so on: a training that is taken up goes on as if it had never ended.
"""

from __future__ import annotations

from argparse import ArgumentParser

import torch
from matplotlib import rc_context
from torch.distributions import Bernoulli

import dgmrun
from dgmrun.pictures.drawing import COLOURS, STYLE, Picture, keep

STEPS = (1, 2, 4, 8, 16, 32, 100)


def main() -> None:
    """Trains and draws; prints where training ended, and the frequency of ones."""
    ArgumentParser(description=__doc__).parse_args()
    theta, words = [0.5], "experiment=coin"
    for step in STEPS:
        run = dgmrun.train(words, f"trainer.max_steps={step}", "train")
        theta.append(float(torch.sigmoid(run.model.logits)))
        words = f"run={run.path}"
    x = run.data("train").float()
    keep(run.run, "coin", draw(theta, x, run.run.config["dataset"]["p"]), ["png"])
    print(f"theta {theta[-1]:.7f}  frequency {x.mean():.7f}  {run.path / 'figures' / 'coin.png'}")


def likelihood(theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Mean log-likelihood of the tosses [N, 1] for each theta [num], in nats."""
    return Bernoulli(theta).log_prob(x).mean(0)


@rc_context(STYLE)
def draw(theta: list[float], x: torch.Tensor, p: float) -> Picture:
    """Plots the mean log-likelihood against theta, with its top, the way there, and the true p."""
    figure = Picture(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    grid, frequency = torch.linspace(0.3, 0.95, 200), float(x.mean())
    axes.plot(grid, likelihood(grid, x), color="0.6", label="mean log-likelihood of the tosses")
    axes.axvline(frequency, color=COLOURS[2], label=f"frequency of ones, {frequency:g}: the top")
    axes.axvline(p, color="black", linestyle="--", label=f"true p, {p:g}")
    axes.plot(theta, likelihood(torch.tensor(theta), x), "o", color=COLOURS[0], label="training from 0.5, by step")
    for step, place in zip((0, *STEPS[:4]), theta, strict=False):
        height = float(likelihood(torch.tensor(place), x))
        axes.annotate(str(step), (place, height), xytext=(4, -12), textcoords="offset points")
    axes.set(xlabel="theta", ylabel="nats per toss")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 0.0))
    return figure


if __name__ == "__main__":
    main()
