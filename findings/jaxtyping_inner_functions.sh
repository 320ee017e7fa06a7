#!/usr/bin/env bash
# jaxtyping 0.3.11 with beartype 0.23.1: the import hook checks functions inside functions, and builds the checks of each
# anew whenever the outer function is called, at about a millisecond.
#
# Guess before running: the hook decorates what a module defines, once, when it is imported.
# Seen: a decorated module whose function defines a function compiles one checker at import and one more in every call.
# Hurts: closures in a training loop (draws, control variates) took half the time of a test of gradient estimators.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jaxtyping==0.3.11 beartype==0.23.1 numpy==2.2.6
cat > "$folder/model.py" <<'PYTHON'
def flat(x: int) -> int:
    return x + 1


def nested(x: int) -> int:
    def inner(y: int) -> int:
        return y + 1

    return inner(x)
PYTHON
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import time

from jaxtyping import install_import_hook

with install_import_hook("model", "beartype.beartype"):
    import model

import jaxtyping._decorator as decorator

built, original = [], decorator._apply_typechecker


def counted(*args, **kwargs):
    built.append(args)
    return original(*args, **kwargs)


decorator._apply_typechecker = counted
seconds = {}
for function in (model.flat, model.nested):
    built.clear()
    function(1)
    started = time.perf_counter()
    for _ in range(200):
        function(1)
    seconds[function.__name__] = (time.perf_counter() - started) / 200, len(built)
print({name: f"{1e3 * each:.3f} ms, {count} checkers built in 201 calls" for name, (each, count) in seconds.items()})
assert seconds["flat"][1] == 0
assert seconds["nested"][1] >= 201
PYTHON
