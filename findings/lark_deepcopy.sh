#!/usr/bin/env bash
# lark 1.3.1: a deep copy of an LALR parser does not parse what the parser does.
#
# Guess before running: copy.deepcopy of a parser parses what the parser does, as of other Python objects.
# Seen: the copy raises, as its tables compare actions by identity, and copies of actions are others.
# Hurts: models that hold a parser, such as grammar VAEs: copies of a model, for moving averages of its weights or for
# evaluation in double precision, fail at the first string. Ours gives itself where a copy is asked for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet lark==1.3.1
cd "$folder"
venv/bin/python - <<'PYTHON'
from copy import deepcopy

from lark import Lark

parser = Lark('s: s "+" "x" | "x"', start="s", parser="lalr")
assert parser.parse("x+x").data == "s"
try:
    found = deepcopy(parser).parse("x+x")
except Exception as error:
    found = error
print(f"the parser derives x+x; its deep copy: {type(found).__name__}")
assert isinstance(found, Exception), found
PYTHON
