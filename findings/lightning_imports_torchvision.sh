#!/usr/bin/env bash
# Lightning 2.6.6 with torchmetrics 1.9.0: `import lightning` imports torchvision, scipy.signal and pyplot, where these are installed.
#
# Guess before running: torch, and what logging and checkpoints need.
# Seen: torchmetrics, imported to recognise metrics that a module logs, imports all of its metrics, those of images and sounds, too.
# Hurts: every training of a module that logs no metric, by seconds before its first step, and every job of a sweep again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 torchvision==0.29.1 lightning==2.6.6 torchmetrics==1.9.0 \
    scipy==1.17.1 matplotlib==3.11.2
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import torch

found = ("torchvision", "scipy.signal", "matplotlib.pyplot")
assert not any(name in sys.modules for name in found), "torch imports them itself"
import lightning

print({name: name in sys.modules for name in found})
assert all(name in sys.modules for name in found)
PYTHON
