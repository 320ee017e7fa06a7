"""Pages under Reference: made of configs/ and of the docstrings of the classes that it names, at each build."""

from __future__ import annotations

import inspect
import sys

import mkdocs_gen_files
import yaml

from dgmrun.paths import config_dir, methods, options
from dgmrun.report.header import header
from dgmrun.tools import list as listed
from dgmrun.workbench import build

PAGES = {
    "stage": "Stages",
    "model": "Models",
    "objective": "Objectives",
    "likelihood": "Log-likelihood",
    "log_z": "Log Z",
    "fidelity": "Fidelity",
    "dataset": "Datasets",
    "optimizer": "Optimisation",
    "experiment": "Experiments",
}
TOGETHER = {"optimizer": ("optimizer", "schedule", "search", "device")}
"""Groups that share a page."""


def section(group: str, name: str) -> list[str]:
    """Returns the lines about one option: what it is, its source, its keys, what fits it and its equations."""
    file = options(group)[name]
    top, text = header(file), file.read_text()
    lines = [f"## {name}", "", " ".join(top.lines), ""]
    lines += [f"*Source: {top.source}*", ""] if top.source else []
    lines += ["```yaml", text.strip(), "```", ""] if group in ("stage", "experiment") else []
    if group not in ("stage", "experiment"):
        keys = [line.strip().partition("  ") for line in listed.keys(group, file)]
        rows = [f"| `{key}` | {what.strip()} |" for key, _, what in keys]
        lines += ["| key | |", "|---|---|", *rows, ""] if rows else []
        if group in ("model", "objective", *methods()):
            lines += [f"Fits {listed.fits(group, name, ())}.", ""]
        lines += documented(yaml.safe_load(text))
    return lines


def documented(node: dict[str, object]) -> list[str]:
    """Returns the docstring of the file of a class, which has its equations."""
    target = node.get("_target_") or next(
        (each["_target_"] for each in node.values() if isinstance(each, dict) and "_target_" in each), None
    )
    if target is None or not str(target).startswith("dgmrun."):
        return []
    doc = inspect.getdoc(sys.modules[build.target({"_target_": target}).__module__])
    return [
        '??? note "Equations"',
        "",
        *(f"    {line}" for line in ["```text", *(doc or "").splitlines(), "```"]),
        "",
    ]


for page, title in PAGES.items():
    with mkdocs_gen_files.open(f"reference/{page}.md", "w") as stream:
        print(f"# {title}\n", file=stream)
        for group in TOGETHER.get(page, (page,)):
            for name in options(group):
                print("\n".join(section(group, name)), file=stream)

with mkdocs_gen_files.open("reference/keys.md", "w") as stream:
    print("# Every key\n\nWith its default; those of an option are on the page of its group.\n", file=stream)
    for file in (config_dir() / "config.yaml", *options("stage").values()):
        print(f"## {file.stem}\n\n```yaml\n{file.read_text().strip()}\n```\n", file=stream)
