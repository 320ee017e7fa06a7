"""Nine additions of kinds that no shipped part is of, each one .py and one .yaml in toys/, and nothing else edited."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file

Command = Callable[..., int]
TOYS = f"--config-dir={Path(__file__).parent / 'toys'}"
SHORT = "trainer.max_steps=8 trainer.validate_every_n_steps=4 checkpoint.every_n_steps=2 dataset.batch_size=8".split()
FEW = "sample.count=6 sample.burn_in=3".split()
OF_A_FILE = ("dataset=file", "dataset.path=data.npz")
BINARY = "dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2]".split()


class Toy:
    """One of them.

    Args:
        command: what trains it.
        data: arrays of the file that it is trained on.
        words: stages that score it, with their settings.
        refused: a word or setting that it cannot have, and what is said of it.
    """

    def __init__(
        self, *command: str, words: str, refused: tuple[str, str], data: dict[str, numpy.ndarray] | None = None
    ) -> None:
        self.command, self.data, self.words, self.refused = command, data, words.split(), refused


RANDOM = numpy.random.default_rng(0)
BITS = RANDOM.integers(0, 2, (200, 4))
TOYS_BY_NAME = {
    "conditional": Toy(
        "model=conditional",
        "given=labels",
        *OF_A_FILE,
        data={"x": BITS, "y": BITS[:, 0] + BITS[:, 1]},
        words="likelihood",
        refused=("given=null", "`given` must be labels or x for the model conditional"),
    ),
    "counts": Toy(
        "model=counts",
        *OF_A_FILE,
        data={"x": RANDOM.poisson(3.0, (200, 5))},
        words="likelihood",
        refused=("objective=pcd", "`objective` must be one that fits the model counts"),
    ),
    "strings": Toy(
        "model=strings",
        *OF_A_FILE,
        "dataset.event={shape:[6],kind:tokens,size:4}",
        data={"x": (s := RANDOM.integers(0, 4, (200, 6))) * numpy.cumprod(s != 0, 1)},
        words="likelihood",
        refused=("given=labels", "`given` must be null"),
    ),
    "chain": Toy(
        "model=chain",
        *BINARY,
        words="",
        refused=("likelihood", "`likelihood` must have a model that one of its methods fits"),
    ),
    "bounded": Toy(
        "model=bounded",
        *BINARY,
        words="likelihood",
        refused=("log_z", "`log_z` must have a model with an unnormalised density"),
    ),
    "logistic": Toy(
        "model=logistic",
        "given=x",
        *OF_A_FILE,
        data={"x": BITS, "y": BITS[:, 0] + BITS[:, 1]},
        words="likelihood fidelity",
        refused=("given=labels", "`dataset` must be categorical for a classifier"),
    ),
    "topped": Toy(
        "model=topped",
        *BINARY,
        words="log_z likelihood log_z.ais.num_temperatures=50 log_z.reverse_ais.num_temperatures=50 "
        "likelihood.importance.num_samples=50",
        refused=("objective=elbo", "`objective` must be one that fits the model topped"),
    ),
    "three_players": Toy(
        "model=gan",
        "model.hidden=8",
        "objective=three_players",
        "dataset.sizes=[200,120,120]",
        words="fidelity",
        refused=("log_z", "`log_z` must have a model with an unnormalised density"),
    ),
    "two_teachers": Toy(
        "model=nade",
        "model.hidden=3",
        "objective=two_teachers",
        *BINARY,
        words="likelihood",
        refused=(
            "objective.teacher_weights=[1]",
            "`objective.teacher_weights` must be null or a list of",
        ),
    ),
}
toys = pytest.mark.parametrize("name", TOYS_BY_NAME)


@pytest.fixture
def command(name: str, tmp_path: Path, teacher: Path, dgmrun: Command) -> list[str]:
    """What trains a toy, its data and its teachers at hand."""
    toy = TOYS_BY_NAME[name]
    if toy.data is not None:
        numpy.savez(tmp_path / "data.npz", **toy.data)
    if name != "two_teachers":
        return [TOYS, *toy.command, *SHORT, *FEW]
    other = ("model=nade", "model.hidden=2", *BINARY, "trainer.max_steps=3", "dataset.batch_size=4", "train")
    assert dgmrun(*other, "hydra.run.dir=other") == 0
    few = ("objective.stream.num_chains=16", "objective.stream.burn_in=3", "objective.teacher_weights=[3,1]")
    return [TOYS, *toy.command, *SHORT, *FEW, f"objective.teacher=[{teacher},other]", *few]


def results(run: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(run, "results.json").read_text())
    return content


@toys
def test_a_toy_is_trained_scored_sampled_and_compared(
    name: str, command: list[str], dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    words = TOYS_BY_NAME[name].words
    assert dgmrun(*command, "train", *words, "sample", "hydra.run.dir=run") == 0
    found = results("run")
    assert found["status"] == "done"
    assert found["train"]["steps"] == 8
    figures = {**found.get("likelihood", {}), **found.get("fidelity", {})}
    assert all(math.isfinite(figure["value"]) and figure["quantity"] for figure in figures.values())
    assert bool(figures) == bool(words)
    assert {"data", "x"} <= set(numpy.load("run/samples.npz"))
    capsys.readouterr()
    assert dgmrun("compare", "run", "--runs") == 0
    shown = capsys.readouterr().out
    assert all(f".{label}" in shown for label in figures)


@toys
def test_a_toy_is_resumed_to_the_bit(name: str, command: list[str], dgmrun: Command) -> None:
    assert dgmrun(*command, "train", "hydra.run.dir=whole") == 0
    assert dgmrun(*command, "trainer.max_steps=4", "train", "hydra.run.dir=cut") == 0
    assert dgmrun(TOYS, "train", "run=cut", "trainer.max_steps=8") == 0
    whole, cut = (load_file(f"{run}/weights.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


@toys
def test_a_toy_is_refused_what_it_cannot_have(
    name: str, command: list[str], dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    what, said = TOYS_BY_NAME[name].refused
    capsys.readouterr()
    assert dgmrun(*command, "train", what, "hydra.run.dir=run") == 2
    assert said in capsys.readouterr().err
    assert not Path("run/results.json").exists()


def states(bits: int) -> torch.Tensor:
    """Every state, [2^bits, bits]."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * bits)


def test_a_top_without_log_z_is_scored_as_enumeration_says(dgmrun: Command) -> None:
    from dgmrun.protocols.values import Event
    from tests.toys.topped import Topped

    words = "log_z likelihood log_z.methods=[exact] likelihood.importance.num_samples=4000".split()
    assert dgmrun(TOYS, "model=topped", *BINARY, *SHORT, "optimizer.lr=0.5", "train", *words, "hydra.run.dir=run") == 0
    model = Topped(Event((1, 2, 2), "binary"))
    model.requires_grad_(False).load_state_dict(load_file("run/weights.safetensors"))
    z = states(4)
    log_pz = model.rbm.log_unnormalised(z)
    scores = numpy.load("run/per_example/test-importance-exact.npz")["log_prob"]
    assert results("run")["log_z"]["exact"]["value"] == pytest.approx(float(log_pz.logsumexp(0)), abs=1e-5)
    from dgmrun.data.splits import Split
    from dgmrun.datasets.bars_and_stripes import load

    split: Split = load(Path(), 2)["test"]
    log_px = (
        torch.distributions.Bernoulli(logits=model.decoder(z)[:, None]).log_prob(split.x.flatten(1).float()).sum(-1)
    )
    truth = (log_px + log_pz[:, None]).logsumexp(0) - log_pz.logsumexp(0)
    assert scores == pytest.approx(truth.numpy(), abs=0.1)
    figure = results("run")["likelihood"]["importance-exact"]
    assert (figure["kind"], figure["bias"], figure["quantity"]) == ("lower_bound", "down", "log_likelihood")


@pytest.mark.parametrize("name", ["counts", "strings"])
def test_perplexity_is_of_words_and_of_tokens(
    name: str, command: list[str], dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stored beside the likelihood that it follows from, and told by `compare`."""
    from dgmrun.protocols.values import Event

    strings = torch.tensor([[1, 2, 0, 0], [3, 1, 1, 2], [0, 0, 0, 0]])
    assert Event((4,), "tokens", 4).size_of(strings).tolist() == [3, 4, 1]
    assert Event((3,), "counts").size_of(torch.tensor([[1, 0, 4]])).tolist() == [5]
    assert Event((4,), "tokens", 4).log_states == pytest.approx(math.log(1 + 3 + 9 + 27 + 81))
    capsys.readouterr()
    assert dgmrun(*command, "train", "likelihood", "hydra.run.dir=run") == 0
    said = "".join(capsys.readouterr())
    found, x = results("run"), torch.from_numpy(numpy.load("data.npz")["x"])
    scores = numpy.load("run/per_example/test-exact.npz")["log_prob"]
    figure, corpus = (found["perplexity"][label] for label in ("exact", "exact-corpus"))
    mean = found["likelihood"]["exact"]
    assert corpus["value"] == pytest.approx(math.exp(-mean["value"] / mean["size"]))
    assert (figure["kind"], figure["quantity"], figure["split"], figure["examples"]) == (
        "exact",
        "perplexity",
        "test",
        20,
    )
    assert figure["standard_error"] > 0
    event = Event((5,), "counts") if name == "counts" else Event((6,), "tokens", 4)
    sizes = event.size_of(x)
    assert -scores.max() / sizes.max() < math.log(figure["value"]) < -scores.min() / sizes.min()
    bits = f"{-mean['value'] / mean['size'] / math.log(2):.3f} +- "
    for words in ([], ["--wide"]):
        assert dgmrun("compare", "run", *words) == 0
        shown = capsys.readouterr().out
        assert (f"perplexity {figure['value']:.3f}" in shown) is (name == "counts" or bool(words))
        assert (bits in shown and "bits per token" in shown) is (name == "strings")
    assert (f"; {bits}" in said and "bits per token" in said) is (name == "strings")
