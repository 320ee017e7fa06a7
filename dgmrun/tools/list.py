"""`dgmrun list`: the options of all configuration groups, or the details of one option."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import GROUPS, config_dir, methods, options
from dgmrun.report.header import header
from dgmrun.report.progress import bar
from dgmrun.report.terminal import Parser, wrapped
from dgmrun.run import own

LONG = 80
"""Length of a setting above which its comment has a line of its own."""


def main(argv: list[str]) -> None:
    """Prints each option with a summary and its source, or all details of one option.

    Raises:
        Mistake: the group or option does not exist.
    """
    asked = parser().parse_args(argv)
    search_path = own.search_path(asked.config_dir)
    with bar("loading"):
        lines = list(_lines(asked.choice, search_path))
    print("\n".join(lines).strip(), flush=True)


def _lines(choice: str | None, search_path: Sequence[Path]) -> Iterator[str]:
    if choice is None:
        return (line for group in groups(search_path) for line in _group(group, search_path))
    group, _, option = choice.partition("=")
    _check(group, groups(search_path), "the group")
    return _option(group, option, search_path) if option else _group(group, search_path)


def parser() -> Parser:
    """Returns the argument parser."""
    parsed = Parser(prog="dgmrun list", description="The options of the configuration groups.")
    parsed.add_argument("choice", nargs="?", metavar="GROUP[=OPTION]", help="e.g. model=rbm")
    parsed.add_argument("--config-dir", metavar="FOLDER", help="your own configuration files beside those of dgmrun")
    return parsed


def groups(search_path: Sequence[Path]) -> list[str]:
    """Returns the configuration groups that have options."""
    folders = sorted(folder.name for folder in config_dir().iterdir() if folder.is_dir())
    return [group for group in dict.fromkeys((*GROUPS, *folders)) if options(group, search_path)]


def _check(name: str, known: list[str], what: str) -> None:
    if name not in known:
        raise Mistake(f"{what} must be one of {', '.join(known)}, but is {name}{nearest(name, known)}", "dgmrun list")


def _group(group: str, search_path: Sequence[Path]) -> Iterator[str]:
    yield f"\n{group}"
    margin = max(map(len, options(group, search_path))) + 4
    for name, file in options(group, search_path).items():
        top = header(file)
        yield from wrapped(top.lines[0] if top.lines else "", f"  {name}".ljust(margin))
        if top.source:
            yield from wrapped(f"source: {top.source}", " " * margin)
        if group == "model":
            yield from wrapped(f"fits: {fits(group, name, search_path)}", " " * margin)


def _option(group: str, option: str, search_path: Sequence[Path]) -> Iterator[str]:
    _check(option, list(options(group, search_path)), f"`{group}`")
    file = options(group, search_path)[option]
    top = header(file)
    yield f"{group}={option}"
    for line in top.lines:
        yield from wrapped(line, "  ")
    if top.source:
        yield from wrapped(top.source, "  source      ")
    yield from ("", "  keys")
    yield from keys(group, file)
    if group in ("model", "objective", *methods()):
        yield from ("", *wrapped(fits(group, option, search_path), "  fits        "))


def fits(group: str, option: str, search_path: Sequence[Path]) -> str:
    """Returns what can be combined with an option; it takes seconds, as it imports the classes."""
    from dgmrun.workbench import build

    partners = build.partners(group, option, search_path).items()
    return "; ".join(f"{partner}={', '.join(names)}" if names else f"no {partner}" for partner, names in partners)


def keys(group: str, file: Path) -> Iterator[str]:
    """Yields the keys of an option as `key=default`, with the comments in its file."""
    text = file.read_text()
    prefix = "" if "@package _global_" in text else f"{group}."
    leaves = list(_leaves(yaml.compose(text, Loader=yaml.SafeLoader), prefix))
    settings = [f"{key}={' '.join(text[node.start_mark.index : node.end_mark.index].split())}" for key, node in leaves]
    margin = max((len(setting) for setting in settings if len(setting) <= LONG), default=0) + 6
    for setting, (_, node) in zip(settings, leaves, strict=True):
        comment = text.splitlines()[node.end_mark.line].partition(" # ")[2]
        if len(setting) > LONG:
            yield from wrapped(setting, "    ")
            setting = ""
        yield from wrapped(comment, f"    {setting}".ljust(margin))


def _leaves(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, yaml.Node]]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name = f"{prefix}{key.value}"
        if key.value == "_target_" or name == "defaults":
            continue
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value
