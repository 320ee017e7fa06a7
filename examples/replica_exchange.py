"""log Z of an RBM by replica exchange, beside annealing of as many sweeps: `python examples/replica_exchange.py RUN`.

A ladder has a chain at each of several inverse temperatures, placed as by `spacing=adaptive`. Neighbours try to swap
states after every sweep (Geyer 1991, Markov chain Monte Carlo maximum likelihood), and the ratio of their partition
functions is found by bridge sampling (Bennett 1976, Efficient estimation of free energy differences from Monte Carlo
data). The error bar is by the scatter of independent ladders.
"""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser

import torch
from torch import Tensor

from dgmrun.estimators.annealing import anneal
from dgmrun.estimators.log_z import AIS
from dgmrun.estimators.spacing import adaptive
from dgmrun.models.rbm import RBM, RBMPath
from dgmrun.nn.binary import bernoulli, log_partition
from dgmrun.run.directory import Run
from dgmrun.workbench.selection import subject
from dgmrun.workbench.setup import Setup

CHAINS, PILOT, HALVINGS = 100, 2000, 60


@torch.no_grad()
def main() -> None:
    """Prints a row for each method."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run directory of an RBM")
    parser.add_argument("--rungs", type=int, default=16, help="inverse temperatures of a ladder")
    parser.add_argument("--ladders", type=int, default=12, help="independent ladders")
    parser.add_argument("--sweeps", type=int, default=1000, help="of each chain; the first fifth is left out")
    arguments = parser.parse_args()
    rungs, ladders, sweeps = arguments.rungs, arguments.ladders, arguments.sweeps
    if min(rungs, ladders) < 2 or sweeps < 10:
        parser.error("--rungs and --ladders must be at least 2, and --sweeps at least 10")
    run = Run.open(arguments.run)
    target = subject(run, Setup(run.config, run=run.path)).target
    if not isinstance(target.model, RBM):
        parser.error(f"{arguments.run} must be a run of an RBM")
    torch.set_num_threads(1)
    rbm, x = target.model, target.setup.training_x
    annealing = AIS(CHAINS, max(2, rungs * ladders * sweeps // CHAINS), "adaptive")
    start = time.process_time()
    value, error = exchange(rbm.annealed(x), rungs, ladders, sweeps)
    between = time.process_time()
    estimate = annealing(rbm, x)
    seconds = time.process_time() - between
    print(f"replica exchange  {value:.3f} +- {error:.3f} in {between - start:.1f} CPU seconds")
    print(f"ais               {estimate.value:.3f} +- {estimate.standard_error or math.inf:.3f} in {seconds:.1f}")


def exchange(path: RBMPath, rungs: int, ladders: int, sweeps: int) -> tuple[float, float]:
    """Returns log Z in nats, and its standard error by the scatter of ladders."""
    betas = adaptive(path, PILOT, CHAINS)[torch.linspace(0, PILOT - 1, rungs).long()]
    states = [path.start(ladders)]
    for low, high in betas.unfold(0, 2, 1).tolist():
        state, _ = anneal(path, states[-1], torch.linspace(low, high, CHAINS // rungs + 2, dtype=torch.float64))
        states.append(state)
    up, down = climb(path, betas.float(), torch.stack(states), sweeps // 2)
    rest = slice(sweeps // 10, None)
    log_z = path.log_normaliser() + bridge(up[rest], down[rest]).sum(0)
    return float(log_z.mean()), float(log_z.std()) / math.sqrt(ladders)


def climb(path: RBMPath, betas: Tensor, state: Tensor, tries: int) -> tuple[Tensor, Tensor]:
    """Advances ladders at `state` [rungs, ladders, D] by two sweeps for each try of every pair of neighbours.

    Returns log f_{k+1} - log f_k at the states of rung k, and at those of rung k + 1, [tries, rungs - 1, ladders].
    States stay where they are, and what is swapped is their rungs.
    """
    rungs, ladders, _ = state.shape
    rung, tilt = torch.arange(rungs)[:, None].repeat(1, ladders), path.visible_bias - path.base_logits
    up, down = torch.empty(2, tries, rungs - 1, ladders)
    for sweep in range(2 * tries):
        low = torch.arange(sweep % 2, rungs - 1, 2)
        neighbour = torch.arange(rungs)
        neighbour[low], neighbour[low + 1] = low + 1, low
        beta, other = betas[rung], betas[neighbour[rung]]
        logits = path.hidden_bias + state @ path.weight
        gain = (other - beta) * (state @ tilt) + summed(other, logits) - summed(beta, logits)
        place = rung.argsort(0)
        gain = gain.gather(0, place)
        up[sweep // 2, low], down[sweep // 2, low] = gain[low], -gain[low + 1]
        swap = torch.rand(len(low), ladders).log() < gain[low] + gain[low + 1]
        lower, upper = place[low], place[low + 1]
        place[low], place[low + 1] = torch.where(swap, upper, lower), torch.where(swap, lower, upper)
        rung = place.argsort(0)
        beta = betas[rung][..., None]
        h = bernoulli(torch.sigmoid(beta * logits))
        state = bernoulli(torch.sigmoid(torch.lerp(path.base_logits, path.visible_bias + h @ path.weight.t(), beta)))
    return up, down


def summed(beta: Tensor, logits: Tensor) -> Tensor:
    """What hidden units add to log f_beta, [rungs, ladders], given their logits [rungs, ladders, H] at 1."""
    scaled = beta[..., None] * logits
    return log_partition(scaled, torch.sigmoid(scaled)).sum(-1)


def bridge(up: Tensor, down: Tensor) -> Tensor:
    """log Z_{k+1} / Z_k of each pair and ladder by bisection of Bennett's equation, float64 [rungs - 1, ladders]."""
    up, down = up.double(), down.double()
    low, high = torch.minimum(up, down).amin(0), torch.maximum(up, down).amax(0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_low = torch.sigmoid(up - middle).mean(0) > torch.sigmoid(middle - down).mean(0)
        low, high = torch.where(is_low, middle, low), torch.where(is_low, high, middle)
    return (low + high) / 2


if __name__ == "__main__":
    main()
