#!/usr/bin/env bash
# zuko 1.6.0: importing it turns off the checks of arguments of all distributions of torch, for the whole process.
#
# Guess before running: a library of flows leaves the distributions of others as they are.
# Seen: before `import zuko`, Normal(0, -1) raises ValueError; after it, the same line makes a distribution whose log_prob is
# nan, and a value outside the support of a Bernoulli has a probability. validate_args=True, given to each, still checks.
# Hurts: mistakes in any density of a program that compares flows with others: they end as nan, or as wrong nats.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 numpy==2.2.6 zuko==1.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torch.distributions import Bernoulli, Normal


def made() -> str:
    """What becomes of a negative scale, and of 0.5 as a bit."""
    found = []
    for make in (lambda: Normal(0.0, -1.0).log_prob(torch.tensor(0.0)), lambda: Bernoulli(0.9).log_prob(torch.tensor(0.5))):
        try:
            found.append(f"{make().item():.4f}")
        except ValueError:
            found.append("ValueError")
    return ", ".join(found)


before = made()
import zuko  # noqa: E402, F401

after = made()
print(f"before: {before}; after import zuko: {after}")
assert before == "ValueError, ValueError"
assert after == "nan, -1.2040", after
assert torch.distributions.Distribution._validate_args is False
PYTHON
