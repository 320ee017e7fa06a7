#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0: `--dist loadgroup` sends the tests of one group to several workers, without a word.
#
# Guess before running: all tests with the same mark `xdist_group` run in one worker, as documented.
# Seen: two workers, each with about half of the group.
# Hurts: suites that train a model once in a shared fixture and group the tests that look at it: each worker trains
# its own. `--dist loadfile` keeps a file of tests together.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pytest==9.2.0 pytest-xdist==3.8.0
cd "$folder"
cat > test_group.py <<'PYTHON'
import os
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(20))
def test_where(number: int) -> None:
    time.sleep(0.05)
    with open(Path(__file__).with_name("workers"), "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PYTHON
for how in loadgroup loadfile; do
    rm -f workers
    venv/bin/python -m pytest -q -p no:cacheprovider -n 2 --dist "$how" > /dev/null
    echo "$how: $(sort workers | uniq -c | tr -s ' ' | tr '\n' ';')"
    if [ "$how" = loadgroup ] && [ "$(sort -u workers | wc -l)" != 2 ]; then exit 1; fi
    if [ "$how" = loadfile ] && [ "$(sort -u workers | wc -l)" != 1 ]; then exit 1; fi
done
