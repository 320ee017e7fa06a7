"""Every command and every block of code in docs/ and README.md is one that works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dgmrun.command import arguments, compose
from dgmrun.command.space import plan
from dgmrun.paths import tools

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def found(page: Path) -> list[tuple[str, str]]:
    """Its blocks with their languages, and lines that go on in one."""
    return BLOCK.findall(page.read_text().replace("\\\n", " "))


def blocks(page: Path, language: str) -> list[str]:
    """Its blocks in a language."""
    return [text for of, text in found(page) if of == language]


def commands(page: Path) -> list[list[str]]:
    """Its commands, without the name of the program."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("dgmrun ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_compose(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that make runs, of no run before them and of no sweep."""
    monkeypatch.chdir(tmp_path)
    for words in commands(page):
        if words[0] in tools() or "--cfg" in words:
            continue
        parsed = arguments.parse(words)
        if parsed.is_sweep and "search=optuna" in words:
            with compose.composer(parsed) as composed:
                assert plan(parsed, composed).space
        elif not parsed.is_sweep and parsed.run is None and not parsed.paths("objective.teacher"):
            assert compose.compose(parsed)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "data"], ids=lambda page: page.name)
def test_pages_run(page: Path, tmp_path: Path) -> None:
    """Each page from its top, in an empty folder."""
    for language, text in found(page):
        words = [sys.executable, "-c", text]
        if language == "sh":
            lines = [line for line in text.splitlines() if line.startswith("dgmrun ")]
            words = [
                "bash",
                "-ec",
                "\n".join(line.replace("dgmrun", f"{sys.executable} -m dgmrun", 1) for line in lines),
            ]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
