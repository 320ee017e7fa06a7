"""What people wait for, measured through what commits of old have, too: commands, results.json, and a few classes.

Each function measures it once in an `Environment`; a short one, if it is to be `quick`, shows that all works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

from benchmarks._environment import Environment

HERE = Path(__file__).parent
RBM = ("model=rbm", "model.hidden=500")
VAE = ("model=vae", "model.hidden=[300]", "model.depth=3")
SBN = ("model=sbn", "model.hidden=[200]")
GAUSSIANS = ("dataset=correlated_gaussian", "dataset.dims=784", "dataset.sizes=[2000,200,200]")
IWAE = ("model=vae", "objective=iwae", "objective.k=50")


class Wait(NamedTuple):
    """Something that people wait for.

    Args:
        name: of the row.
        unit: of what is measured; more of it is better, except of seconds.
        measure: called with an environment, the data and whether it is to be quick.
        target: how many times as fast as at the other commit it is meant to be, if that was decided.
    """

    name: str
    unit: str
    measure: Callable[[Environment, Sequence[str], bool], float]
    target: str = ""


def importance(model: Sequence[str], python: Environment, data: Sequence[str], quick: bool) -> float:
    """Pairs of example and sample that are weighed in a second, the model as it begins."""
    examples, samples = (2, 100) if quick else (40, 5000)
    method = ("likelihood.methods=[importance]", f"likelihood.importance.num_samples={samples}")
    limits = ("trainer.max_steps=1", f"likelihood.examples={examples}")
    results = python.dgmrun(*model, *data, *limits, *method, "train", "likelihood")
    return examples * samples / float(results["likelihood"]["importance"]["seconds"])


def training(
    steps: int, model: Sequence[str], python: Environment, data: Sequence[str], quick: bool, own: Sequence[str] = ()
) -> float:
    """Batches of 100 a second, of data of its `own` if there are any; without the start, a tenth, and the end."""
    steps = 3 if quick else steps
    most = steps + max(1, steps // 10)
    never = [f"trainer.validate_every_n_steps={2 * most}", f"checkpoint.every_n_steps={2 * most}"]
    limits = ["device=cpu", "dataset.batch_size=100", f"trainer.max_steps={most}", *never, "hydra.run.dir=run"]
    return float(python.run("-c", source("_ticks"), str(steps), *(own or data), *model, *limits, "train"))


def nade(work: str, examples: int, python: Environment, data: Sequence[str], quick: bool) -> float:
    """Examples a second of a call."""
    return float(python.run("-c", source("_nade"), work, str(10 if quick else examples)))


def ais(python: Environment, data: Sequence[str], quick: bool) -> float:
    """Gibbs sweeps a second, of all of 100 chains."""
    chains, temperatures = 100, 10 if quick else 1000
    method = ("log_z.methods=[ais]", f"log_z.ais.num_chains={chains}", f"log_z.ais.num_temperatures={temperatures}")
    results = python.dgmrun(*RBM, *data, "trainer.max_steps=1", *method, "train", "log_z")
    return chains * temperatures / float(results["log_z"]["ais"]["seconds"])


def gradients(python: Environment, data: Sequence[str], quick: bool) -> float:
    """Seconds of the word `gradients` at its defaults, of a run that there is."""
    short = ("gradients.num_samples=20", "gradients.tuning=2") if quick else ()
    tiny = ("model=sbn", "model.hidden=[8]", "device=cpu", "trainer.max_steps=1")
    with TemporaryDirectory() as folder:
        run = Path(folder, "run")
        python.run("-m", "dgmrun", *tiny, f"hydra.run.dir={run}")
        return seconds(python, "-m", "dgmrun", "gradients", *short, f"run={run}")


def sweep(python: Environment, data: Sequence[str], quick: bool) -> float:
    """Seconds of 60 short trainings on digits, two at a time, with log Z by enumeration."""
    jobs, steps = (2, 2) if quick else (60, 200)
    short = ("model=rbm", "model.hidden=10", f"trainer.max_steps={steps}", "log_z.methods=[exact]", "train", "log_z")
    return seconds(python, "-m", "dgmrun", "-m", *short, "device=cpu", f"seed=range({jobs})", "sweep.jobs=2")


def start(python: Environment, data: Sequence[str], quick: bool) -> float:
    """Seconds from Enter to the first training step done."""
    return seconds(python, "-c", source("_first_step"), "model=rbm", "device=cpu", "train", "hydra.run.dir=run")


def seconds(python: Environment, *arguments: str) -> float:
    """What a command takes."""
    started = perf_counter()
    python.run(*arguments)
    return perf_counter() - started


def source(script: str) -> str:
    """A script beside this file, to be run where no package of benchmarks is."""
    return (HERE / f"{script}.py").read_text()


WAITS = {
    "importance_vae": Wait("Importance, VAE 784-(300 x 3)-50", "pairs/s", partial(importance, VAE), ">= 2.5"),
    "importance_sbn": Wait("Importance, SBN 784-200", "pairs/s", partial(importance, SBN), ">= 2.5"),
    "pcd": Wait("PCD-1, RBM 784-500", "steps/s", partial(training, 1000, RBM)),
    "cd": Wait("CD-25, RBM 784-500", "steps/s", partial(training, 100, (*RBM, "objective=cd", "objective.k=25"))),
    "vae": Wait("ELBO, VAE 784-200-200-50", "steps/s", partial(training, 500, ("model=vae",))),
    "iwae": Wait("IWAE-50, VAE 784-200-200-50", "steps/s", partial(training, 30, IWAE)),
    "nvil": Wait("NVIL, SBN 784-200", "steps/s", partial(training, 300, (*SBN, "objective=nvil"))),
    "gan": Wait("GAN of 784 numbers", "steps/s", partial(training, 300, ("model=gan",), own=GAUSSIANS)),
    "nade_gradient": Wait("NADE 784-500, forward and backward", "examples/s", partial(nade, "gradient", 200)),
    "nade_sample": Wait("NADE 784-500, 1,000 samples", "samples/s", partial(nade, "sample", 1000), ">= 1.5"),
    "ais": Wait("AIS, RBM 784-500, 100 chains", "sweeps/s", ais),
    "gradients": Wait("gradients at its defaults, SBN 64-8", "s", gradients),
    "sweep": Wait("sweep of 60 tiny runs, two at a time", "s", sweep, ">= 4"),
    "start": Wait("from Enter to the first training step", "s", start, ">= 1.67"),
}
