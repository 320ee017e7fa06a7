#!/usr/bin/env bash
# safetensors 0.8.0: save_file writes files that only their owner can read, whatever the umask says, and leaves whole ones when it is killed.
#
# Guess before running: the mode of a new file, 644 with the usual umask, and an existing file keeps its own.
# Seen: save_file writes a file .tmpXXXXXX in the same folder, with mode 600, and renames it: the mode of a file that was there is lost, as are
# links to it; `torch.save` and `open` give 644. A process that is killed while it writes leaves .tmpXXXXXX there, which no tool removes.
# Hurts: weights in a folder that a group shares, which nobody else can load after the first save; disks of clusters whose jobs are killed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet safetensors==0.8.0 numpy==2.2.6
cd "$folder"
umask 022
cat > save.py <<'PYTHON'
import os
import signal
import threading
import time
from pathlib import Path

import numpy
from safetensors.numpy import save_file

shared = Path("shared.safetensors")
shared.touch(0o644)
save_file({"w": numpy.ones(3)}, shared)
mode = shared.stat().st_mode & 0o777
print(f"mode {mode:o}")


def kill_in_write():
    while not list(Path().glob(".tmp??????")):
        time.sleep(0.0001)
    os.kill(os.getpid(), signal.SIGKILL)


if os.fork() == 0:
    threading.Thread(target=kill_in_write, daemon=True).start()
    while True:
        save_file({"w": numpy.ones(10_000_000)}, "large.safetensors")
os.wait()
left = list(Path().glob(".tmp??????"))
print(f"{len(left)} file left by a kill")
if (mode, len(left)) != (0o600, 1):
    raise SystemExit("the behaviour has changed")
PYTHON
"$folder/venv/bin/python" save.py
