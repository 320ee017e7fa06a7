"""Expressions of the grammar VAE: what is published of them, their functions, and how far they are from the target."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dgmrun.data.splits import Splits
from dgmrun.datasets import equations
from dgmrun.errors import Mistake
from dgmrun.paths import options
from dgmrun.protocols.language import Language

NODE = yaml.safe_load(options("dataset")["equations"].read_text())
LANGUAGE = equations.language(NODE["grammar"], "function", 0.0)
FEW = """\
x + x + ( 1 ) + ( 2 )
2 * x + 3
x / x + sin( x * x )
x / 2 + exp( x )
x * 1 + 1 / 3 + sin( x * x )
exp( x ) + x / 2
1 + exp( exp( x * x * x ) )
"""


def load(data_dir: Path, **changes: Any) -> Splits:
    return equations.load(data_dir, **({key: NODE[key] for key in ("grammar", "split", "least_error")} | changes))


def spelled(splits: Splits, language: Language = LANGUAGE) -> dict[str, list[str]]:
    return {name: [language.spell(row[: row.index(0)]) for row in split.x.tolist()] for name, split in splits.items()}


@pytest.fixture(scope="module")
def strings(data_dir: Path) -> dict[str, list[str]]:
    """The published lines of each split by function."""
    return spelled(load(data_dir))


def test_there_are_100000_lines_of_10092_functions_and_a_split_holds_functions_out(
    strings: dict[str, list[str]],
) -> None:
    lines = [string for split in strings.values() for string in split]
    assert len(set(lines)) == 100_000
    number = iter(equations.functions(lines).tolist())
    train, valid, test = ({next(number) for _ in split} for split in strings.values())
    assert (len(train), len(valid), len(test)) == (8074, 1009, 1009)
    assert len(train | valid | test) == 10_092
    assert all(LANGUAGE.is_valid(string) for string in lines[::500])
    assert max(len(string) for string in lines) == len("exp(x*1)*exp(x)") + 4


def test_expressions_have_the_values_that_python_gives_them(strings: dict[str, list[str]]) -> None:
    x, names = np.linspace(-3, 3, 7) + 0.01, {"sin": np.sin, "exp": np.exp}
    for string in strings["test"][::40]:
        expected = eval(string, {"__builtins__": {}, "x": x, **names})
        assert np.allclose(equations.values(string, x), expected, rtol=1e-12)


def test_the_error_is_that_of_the_paper_with_its_worst() -> None:
    assert equations.error("1/3+x+sin(x*x)") == 0
    assert equations.error("1/2+x+sin(x*x)") == pytest.approx(math.log1p(1 / 36))
    beyond, worst = "exp(exp(exp(x)))", math.log1p(1000)
    assert 0 < equations.error(beyond) < worst, "a point that overflows counts 1000"
    assert equations.error(f"{beyond}/{beyond}") == equations.error("3*exp(3*exp(3))") == pytest.approx(worst)


def test_a_string_of_the_language_is_one_that_the_grammar_derives() -> None:
    assert LANGUAGE.is_valid is not None
    assert LANGUAGE.is_valid("exp(x)/(1)")
    assert not any(LANGUAGE.is_valid(string) for string in ("", "1+", "x+y", "sin(x", "xx"))
    assert LANGUAGE.properties["error"].better == "lower"


def test_equal_functions_are_of_one_split_and_the_nearest_to_the_target_of_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(equations, "read", lambda *_: FEW.encode())
    assert equations.functions(FEW.splitlines()).tolist() == [0, 0, 1, 2, 3, 2, 4]
    by_function = spelled(load(Path()))
    assert sum(len({*equations.functions(split)}) for split in by_function.values()) == 5
    assert [len(split) for split in spelled(load(Path(), split="line")).values()] == [5, 1, 1]
    near = spelled(load(Path(), least_error=1e-9))
    assert "x*1+1/3+sin(x*x)" in near["test"]
    assert sum(map(len, near.values())) == 7


def test_another_split_is_refused() -> None:
    with pytest.raises(Mistake, match=r"^`dataset.split` must be function or line, but is lines"):
        load(Path(), split="lines")
    assert equations.division(NODE["grammar"], "line", 0.0) == "split by line"
