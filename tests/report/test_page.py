"""The page of `dgmrun compare --html`, as a file and in a browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dgmrun.errors import Mistake
from dgmrun.run import metrics
from dgmrun.tools.compare import main
from tests.report.test_compare import LOG_PROB, SHA256, config, scored
from tests.report.test_seeds import seeds

NAME = "</script><script>document.title = 'obeyed'</script><img src=x onerror=\"document.title = 'obeyed'\">"
PATIENCE = 120_000
"""Milliseconds, as a browser starts slowly beside other tests."""
BROWSER = shutil.which("chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of three seeds, of a student with a strange name, of its teacher, and of a run with extreme numbers."""
    folder = tmp_path_factory.mktemp("page")
    seeds(folder / "runs", 10, [0.0, 0.1, 0.2])
    teacher = scored(folder / "runs" / "teacher", LOG_PROB - 1, settings=config(model={"hidden": 9}))
    (teacher.path / "weights.safetensors").write_bytes(b"of the teacher")
    results = teacher.path / "results.json"
    results.write_text(results.read_text().replace(SHA256, teacher.weights_sha256()))
    student = scored(folder / "runs" / "student", LOG_PROB - 2, settings=config(name=NAME, model={"hidden": 8}))
    given = {"run": str(teacher.path), "role": "teacher", "weights_sha256": teacher.weights_sha256()}
    student.merge({"inputs": [given], "error": NAME})
    extreme = scored(folder / "runs" / "extreme", LOG_PROB - 1e17, settings=config(model={"hidden": 7}))
    metrics.append(extreme.path, {"valid/bound": 1e-300, "train/loss": 1e17}, 1)
    metrics.append(extreme.path, {"valid/bound": 1.7e308, "train/loss": 1e17 + 16}, 2)
    for run in (student, teacher):
        for step in range(1000):
            metrics.append(run.path, {"train/loss": 1 / (step + 1), NAME: 1.0, "valid/bound": 20.0}, step)
    for step in range(3):
        rows = {"nll": 20.0 + step, "rise": step, "rise_standard_error": 0.1, "rise_standard_error_size": 50}
        rows |= {"gain": step, "gain_standard_error": 0.1}
        metrics.append(teacher.path, {f"valid/{name}": value for name, value in rows.items()}, step)
    (student.path / "figures").mkdir()
    for name in ("samples", "rationales"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(student.path / "figures" / f"{name}.png")
    (teacher.path / "figures").mkdir()
    (teacher.path / "figures" / "samples.png").write_text("<svg onload=alert(1)>")
    main([str(folder / "runs"), "--html", str(folder / "page.html")])
    return folder / "page.html"


def told(file: Path) -> dict[str, Any]:
    """What the page was given to show."""
    (content,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', file.read_text(), re.DOTALL)
    found: dict[str, Any] = json.loads(content)
    return found


def test_nothing_of_a_run_is_markup(file: Path) -> None:
    text = file.read_text()
    assert "<script>document" not in text
    assert "<img" not in text
    assert "<svg" not in text
    assert text.count("</script>") == 2
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), "nothing is fetched"


def test_it_has_curves_samples_and_families(file: Path) -> None:
    data = told(file)
    names = data["names"]
    assert [each["title"].partition(": ")[2] for each in data["sections"]] == [
        "settings, best first",
        "trained models, best first",
    ]
    assert [len(bar["scores"]) for bar in data["sections"][0]["chart"]] == [3, 1, 1, 1]
    curves = {each["run"]: each["tags"] for each in data["curves"]}
    assert curves.keys() == {"teacher", NAME, "extreme"}
    assert all(curves[run].keys() == {"train/loss", "valid/bound"} for run in (NAME, "extreme"))
    assert all(100 < len(curves["teacher"][tag]) <= 200 for tag in ("train/loss", "valid/bound"))
    least = {each["run"]: each["least"] for each in data["curves"]}
    assert least == {"teacher": {"valid/nll": [0, 20.0], "valid/bound": [0, 20.0]}, NAME: {}, "extreme": {}}
    assert [(each["run"], each["kind"]) for each in data["samples"]] == [(NAME, "rationales")]
    (pair,) = data["families"]
    assert (names[pair["number"]], names[pair["of"]]) == (NAME, "teacher")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--html", "results.json"], "`--html` must be a file that ends in .html, but is results.json"),
        (["--html", "nowhere/page.html"], "`--html` must be a file in a folder to write to, but is nowhere/page.html"),
        (["--html", "--csv"], "not allowed with argument"),
        (["--html", "--runs"], "`--runs` must be alone, or with --csv or --json, but is with --html"),
    ],
)
def test_mistakes(argv: list[str], message: str) -> None:
    with pytest.raises(Mistake, match=message):
        main(argv)


@pytest.fixture
def page(file: Path) -> Iterator[Any]:
    """The page in a browser; nothing may go wrong in it."""
    if BROWSER is None:
        pytest.skip("no chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS, timeout=PATIENCE)
        opened = browser.new_page()
        opened.set_default_timeout(PATIENCE)
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("console", lambda message: wrong.append(message.text))
        opened.on("request", lambda request: wrong.extend([request.url] * (request.url[:5] not in ("file:", "data:"))))
        opened.goto(file.as_uri())
        yield opened
        browser.close()
    assert wrong == []


def test_in_a_browser(page: Any) -> None:
    """Text is text; a click sorts, by numbers where there are some, and another one the other way; words filter."""

    def shown() -> list[str]:
        rows = page.locator("table").first.locator("tbody tr:visible")
        return [row.split("\t")[3] for row in rows.all_inner_texts()]

    assert page.title() == "dgmrun compare"
    assert (page.locator("polyline").count(), page.locator("circle.least").count()) == (1, 1)
    page.get_by_label("quantity").select_option("valid/bound")
    assert page.get_by_text(NAME, exact=True).count() >= 4
    assert page.locator("main img").count() == 1
    assert page.locator(".tree .tree, .tree ul").inner_text() == NAME
    assert page.locator("polyline").count() == 3
    assert shown() == ["10", "9", "8", "7"]
    heading = page.locator("table").first.get_by_role("button", name="hidden")
    heading.click()
    assert shown() == ["7", "8", "9", "10"]
    heading.click()
    assert shown() == ["10", "9", "8", "7"]
    page.get_by_role("checkbox").first.uncheck()
    assert page.locator("polyline").count() == 2
    page.get_by_label("quantity").select_option("train/loss")
    assert page.locator("polyline").count() == 2
    page.get_by_label("filter rows").fill("seed PCD")
    assert shown() == ["9", "8", "7"]
    assert page.locator("table").nth(1).locator("tbody tr:visible").count() == 0
