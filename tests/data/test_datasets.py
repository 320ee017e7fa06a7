"""Every dataset is what its YAML and the literature say it is."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor
from torch.distributions import MultivariateNormal

from dgmrun.data.binarise import binarised
from dgmrun.data.check import inside
from dgmrun.data.prepare import prepare
from dgmrun.data.splits import SPLITS, Splits, sha256
from dgmrun.data.transform import transformed
from dgmrun.datasets import bars_and_stripes, coin, correlated_gaussian, digits, gaussians
from dgmrun.datasets.omniglot_area import area_averages
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event
from dgmrun.workbench import build
from tests.conftest import ELSEWHERE, OF_THE_USER

CONFIGS = {file.stem: file for file in Path(__file__).parents[2].glob("configs/dataset/*.yaml")}
PUBLISHED = sorted(CONFIGS.keys() - OF_THE_USER - ELSEWHERE)
SHARED_KEYS = {"_target_", "name", "event", "labels", "pixel_order", "binarisation", "transform", "batch_size"}

Load = Callable[[str], Splits]


def config(name: str) -> dict[str, Any]:
    return yaml.safe_load(CONFIGS[name].read_text())


def loader(name: str) -> Callable[..., Splits]:
    module, function = config(name)["_target_"].rsplit(".", 1)
    return getattr(import_module(module), function)


def made(name: str, **changes: object) -> Callable[[Path], Splits]:
    """The loader with the settings of its YAML."""
    return build.maker("dataset", {**config(name), **changes})


def described(name: str) -> dict[str, Any]:
    """A dataset's YAML, completed by what its module says of its files."""
    return build.completed({"dataset": config(name)})["dataset"]


def event(written: dict[str, Any] | None) -> Event | None:
    return written and build.event(written)


def ready(name: str, splits: Splits, **changes: object) -> Splits:
    settings = described(name)
    events = {key: event(settings[key]) for key in ("event", "labels")}
    kept = {key: settings[key] for key in ("binarisation", "transform", "pixel_order")}
    return prepare(splits, **(events | kept | changes)).splits


@pytest.fixture(scope="module")
def load(data_dir: Path) -> Iterator[Load]:
    """Loads each dataset once, from a folder that refuses whatever is written."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only file system")

    @cache
    def load(name: str) -> Splits:
        return made(name)(data_dir)

    with pytest.MonkeyPatch.context() as patch:
        for method in ("mkdir", "write_bytes", "replace"):
            patch.setattr(Path, method, refuse)
        yield load


@pytest.mark.parametrize("name", CONFIGS)
def test_yaml_holds_the_shared_keys_and_the_loaders_own(name: str) -> None:
    parameters = set(inspect.signature(loader(name)).parameters)
    assert set(config(name)) == SHARED_KEYS | parameters - {"data_dir"}
    assert config(name)["name"] == name


@pytest.mark.parametrize("name", PUBLISHED)
def test_splits_are_what_the_yaml_says(name: str, load: Load) -> None:
    splits = ready(name, load(name))
    how = config(name)["binarisation"]
    seen = transformed(binarised(build.event(described(name)["event"]), how), config(name)["transform"], how)
    assert tuple(splits) == SPLITS
    assert all(inside(splits[split].x, seen) for split in ("valid", "test"))
    whole = {"counts": (torch.int32, torch.int64), "tokens": (torch.int64,)}
    assert all(split.x.dtype in whole.get(seen.kind, (torch.uint8, torch.float32)) for split in splits.values())
    sizes = re.search(r"([\d,]+)/([\d,]+)/([\d,]+) examples", CONFIGS[name].read_text())
    assert sizes is None or [len(split.x) for split in splits.values()] == [
        int(size.replace(",", "")) for size in sizes.groups()
    ]


def test_digits_are_thresholded_at_8_of_16(load: Load) -> None:
    counts = load("digits")["test"].x * 16
    assert counts.unique().tolist() == list(range(17))
    assert torch.equal(ready("digits", load("digits"))["test"].x, (counts >= 8).to(torch.uint8))
    assert sum(split.y.bincount() for split in load("digits").values()).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


def test_mnist_has_the_published_grey_levels_and_class_counts(load: Load) -> None:
    train, valid, test = load("mnist").values()
    learnt = torch.cat((train.x, valid.x))
    assert 255 * learnt.mean(dtype=torch.float64) == pytest.approx(33.318, abs=5e-4)
    assert 255 * test.x.mean(dtype=torch.float64) == pytest.approx(33.791, abs=5e-4)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.cat((train.y, valid.y)).bincount().tolist() == counts
    assert test.y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_fixed_binarisation_contradicts_no_grey_level(load: Load, data_dir: Path) -> None:
    """Row i is a draw of the MNIST picture that the index names: 1 nowhere that is black, 0 nowhere white."""
    with np.load(data_dir / "binarized_mnist" / "mnist_index_derived.npz") as arrays:
        index = torch.tensor(arrays["test_index"].astype(np.int64))
    grey, test = load("mnist")["test"], load("binarized_mnist")["test"]
    assert not ((test.x == 1) & (grey.x[index] == 0)).any()
    assert not ((test.x == 0) & (grey.x[index] == 1)).any()
    assert torch.equal(test.y, grey.y[index])


def test_sm_binarized_mnist_is_the_fixed_one_but_for_its_test_part(load: Load) -> None:
    ours, fixed = load("sm_binarized_mnist"), load("binarized_mnist")
    assert [sha256(ours[split].x) == sha256(fixed[split].x) for split in SPLITS] == [True, True, False]
    learnt = torch.cat((ours["train"].x, ours["valid"].x))
    assert learnt.mean(dtype=torch.float64) == pytest.approx(0.13066, abs=5e-6)
    assert ours["test"].x.mean(dtype=torch.float64) == pytest.approx(0.13245, abs=5e-6)
    assert independent_bernoulli(learnt, ours["test"].x) == pytest.approx(-205.807, abs=5e-4)


def test_sm_binarized_mnist_runs_down_the_columns_unless_asked_otherwise(load: Load) -> None:
    upright = load("sm_binarized_mnist")["test"].x
    by_column = ready("sm_binarized_mnist", load("sm_binarized_mnist"))["test"].x
    by_row = ready("sm_binarized_mnist", load("sm_binarized_mnist"), pixel_order="row")["test"].x
    assert torch.equal(by_row, upright)
    assert torch.equal(by_column[:, 0], upright[:, 0].transpose(1, 2))
    assert by_column.is_contiguous()


@pytest.mark.parametrize(
    ("name", "nats"),
    [("dna", -100.388), ("mushrooms", -34.232), ("nips", -294.813)],
)
def test_independent_dimensions_score_as_measured_elsewhere(name: str, nats: float, load: Load) -> None:
    score = independent_bernoulli(load(name)["train"].x, load(name)["test"].x)
    assert score == pytest.approx(nats, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "nats"),
    [
        ("red_wine", -13.18),
        ("white_wine", -13.20),
        ("parkinsons", -10.85),
        ("ionosphere", -41.24),
        ("boston_housing", -11.37),
    ],
)
def test_a_gaussian_scores_as_published_in_ten_folds(name: str, nats: float, data_dir: Path) -> None:
    """The mean over folds, within 3 of its standard errors; Uria, Murray and Larochelle 2013, table 1."""
    scores = []
    for fold in range(10):
        splits = made(name, fold=fold)(data_dir)
        x = torch.cat([splits["train"].x, splits["valid"].x])
        assert torch.allclose(splits["train"].x.mean(0), torch.zeros(()).double(), atol=1e-9)
        fitted = MultivariateNormal(x.mean(0), x.t().cov())
        scores.append(float(fitted.log_prob(splits["test"].x).mean()))
    assert float(np.mean(scores)) == pytest.approx(nats, abs=3 * float(np.std(scores)) / math.sqrt(10))


def independent_bernoulli(train: Tensor, test: Tensor) -> float:
    """Mean log-likelihood of the product of train's marginals, half a one and half a zero added to each."""
    on = (train.flatten(1).sum(0, dtype=torch.float64) + 0.5) / (len(train) + 1)
    frequency = test.flatten(1).mean(0, dtype=torch.float64)
    return float((frequency * on.log() + (1 - frequency) * (1 - on).log()).sum())


def test_frey_faces_are_1965_different_pictures_in_a_fixed_order(load: Load) -> None:
    grey = torch.cat([split.x for split in load("frey_faces").values()]) * 255
    assert len(grey.flatten(1).unique(dim=0)) == len(grey) == 1965
    assert (grey.round().min(), grey.round().max()) == (8, 238)
    test = load("frey_faces")["test"].x.mul(255).round().to(torch.uint8)
    assert sha256(test) == "7961c07555b83ea7135a5c877b375baf496476d343c65dcfa85b24044c7db76d"


def test_caltech_silhouettes_are_upright_and_dark(load: Load) -> None:
    """The first to train on is a lamp, 0 on a background of 1, with its foot below."""
    splits = load("caltech_silhouettes")
    counts = torch.cat([split.y for split in splits.values()]).bincount()
    assert (len(counts), int(counts.sum())) == (101, 8671)
    assert counts[:4].tolist() == [798, 435, 435, 200]
    x = torch.cat([split.x for split in splits.values()]).double()
    assert x[..., 0].mean() > x[..., 0, :].mean() > 0.95 > x.mean()
    lamp = splits["train"].x[0, 0] == 0
    assert splits["train"].y[0] == 56
    assert lamp[1].nonzero().flatten().tolist() == [13, 14, 15, 16]
    assert lamp[24].sum() == 19


def test_omniglot_area_has_as_much_ink_as_the_drawings(load: Load, data_dir: Path) -> None:
    """And test has other characters than train and valid, which have the same."""
    with np.load(data_dir / "omniglot" / "images_evaluation.npz") as arrays:
        ink = ~arrays["images"].reshape(-1, 105, 105)
    splits = load("omniglot_area")
    mine = splits["test"].x.double().sum((1, 2, 3)) * (105 / 28) ** 2
    assert torch.allclose(mine, torch.tensor(ink.sum((1, 2))).double(), rtol=1e-5)
    assert splits["train"].y.unique(return_counts=True)[1].tolist() == [18] * 964
    assert splits["valid"].y.unique(return_counts=True)[1].tolist() == [2] * 964
    assert splits["test"].y.unique().tolist() == list(range(964, 1623))


def test_area_averages_of_whole_blocks_are_their_means() -> None:
    x = torch.rand(3, 6, 6, dtype=torch.float64)
    blocks = x.reshape(3, 2, 3, 2, 3).mean((2, 4))
    assert torch.allclose(area_averages(x, 2), blocks)
    assert torch.allclose(area_averages(x, 4).sum((1, 2)) * 1.5**2, x.sum((1, 2)))


def test_gaussian_modes_are_where_the_wgan_toys_have_them(load: Load) -> None:
    for modes, first, spacing in (
        (2, [2 / 1.414, 0.0], 4 / 1.414),
        (8, [2 / 1.414, 0.0], 2 * math.sin(math.pi / 8) * 2 / 1.414),
        (25, [-4 / 2.828] * 2, 2 / 2.828),
    ):
        centres = gaussians.mode_centres(modes)
        between = torch.cdist(centres, centres) + 9 * torch.eye(modes)
        assert centres[0].tolist() == pytest.approx(first)
        assert between.min(1).values.tolist() == pytest.approx([spacing] * modes, rel=1e-5)
        train = gaussians.load(Path(), [20_000, 5, 5], modes)["train"]
        off = (train.x - centres[train.y]) / gaussians.STANDARD_DEVIATION[modes]
        assert off.square().mean() == pytest.approx(1, abs=4 * math.sqrt(2 / off.numel()))
        share = 1 / modes
        assert (train.y.bincount() / 20_000 - share).abs().max() <= 4 * math.sqrt(share * (1 - share) / 20_000)


@pytest.mark.parametrize(("dims", "correlation"), [(1, 0.0), (2, 0.8), (5, -0.2), (10, 0.5)])
def test_correlated_gaussian_has_the_entropy_it_says(dims: int, correlation: float) -> None:
    x = correlated_gaussian.load(Path(), [50_000, 5, 5], dims, correlation)["train"].x.double()
    nats = -correlated_gaussian.density(dims, correlation).log_prob(x)
    assert abs(nats.mean() - correlated_gaussian.entropy(dims, correlation)) <= 4 * nats.std() / math.sqrt(len(x))


def test_a_coin_has_its_p() -> None:
    """Within 4.5 standard errors, beyond which chance is below 1e-5."""
    x = coin.load(Path(), [10_000, 1, 1], p=0.3)["train"].x
    assert abs(float(x.double().mean()) - 0.3) < 4.5 * math.sqrt(0.3 * 0.7 / 10_000)
    for p in (-0.1, 1.1, math.nan):
        with pytest.raises(Mistake, match=r"`dataset\.p` must be from 0 to 1, but is"):
            coin.load(Path(), [1, 1, 1], p)


def test_moons_the_swiss_roll_and_the_segment_lie_on_their_curves(load: Load) -> None:
    moons = load("moons")["train"]
    middle = torch.tensor([[0.0, 0.0], [1.0, 0.5]])[moons.y]
    radius = (moons.x - middle).norm(dim=1)
    assert abs(radius.mean() - 1) <= 4 * 0.1 / math.sqrt(len(radius)) + 0.1**2  # the second term: noise along the curve
    roll = load("swiss_roll")["train"].x * 7.5
    segment = load("segment")["train"].x
    assert segment[:, 0].unique().tolist() == [2.0]
    assert segment[:, 1].square().mean() == pytest.approx(1 / 3, abs=4 * math.sqrt(4 / 45 / len(segment)))
    assert 1.5 * math.pi - 1 < roll.norm(dim=1).min() < roll.norm(dim=1).max() < 4.5 * math.pi + 1


@pytest.mark.parametrize("name", sorted(name for name in CONFIGS if "sizes" in config(name)))
def test_synthetic_draws_are_the_same_for_every_run(name: str, load: Load) -> None:
    torch.rand(7)
    again = made(name)(Path())
    assert [sha256(split.x) for split in again.values()] == [sha256(split.x) for split in load(name).values()]


@pytest.mark.parametrize("sizes", [[1, 2], [1, 2, 0], [1, 2, 3.0]])
def test_sizes_are_three_whole_numbers(sizes: list[Any]) -> None:
    with pytest.raises(Mistake, match=r"`dataset.sizes` must be \[train,valid,test\], each at least 1"):
        gaussians.load(Path(), sizes, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussians.load(Path(), [5, 5, 5], 9), "`dataset.modes` must be 2, 8 or 25, but is 9"),
        (lambda: correlated_gaussian.event([5, 5, 5], 0, 0.5), "`dataset.dims` must be at least 1, but is 0"),
        (lambda: correlated_gaussian.event([5, 5, 5], 3, -0.5), "`dataset.correlation` must be above -0.5 and below 1"),
    ],
)
def test_settings_that_no_distribution_has(make: Callable[[], object], message: str) -> None:
    with pytest.raises(Mistake, match=message):
        make()


@pytest.mark.parametrize("side", [1, 2, 4, 7])
def test_bars_and_stripes_are_all_patterns_once(side: int) -> None:
    splits = bars_and_stripes.load(Path(), side)
    x = splits["train"].x
    assert x.shape == (2 ** (side + 1) - 2, 1, side, side)
    assert len(x.unique(dim=0)) == len(x)
    assert ((x == x[..., :1]).flatten(1).all(1) | (x == x[..., :1, :]).flatten(1).all(1)).all()
    assert all(split is splits["train"] for split in splits.values())


def test_bars_and_stripes_refuses_a_side_of_0() -> None:
    with pytest.raises(Mistake, match=r"`dataset.side` must be from 1 to 16, but is 0"):
        bars_and_stripes.load(Path(), 0)


def test_another_side_names_the_shape_that_goes_with_it() -> None:
    with pytest.raises(Mistake, match=r"`dataset.event.shape` must be \[1, 3, 3\]") as caught:
        ready("bars_and_stripes", bars_and_stripes.load(Path(), 3))
    assert caught.value.hint == "dataset.event.shape=[1,3,3]"


def test_digits_are_the_same_where_scikit_learn_keeps_them_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = digits.load(Path())
    monkeypatch.setattr(digits, "FILE", "elsewhere/digits.csv.gz")
    anew = digits.load(Path())
    for name in SPLITS:
        for one, other in zip((splits[name].x, splits[name].y), (anew[name].x, anew[name].y), strict=True):
            assert one is not None
            assert other is not None
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
