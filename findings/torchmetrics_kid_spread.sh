#!/usr/bin/env bash
# torchmetrics 1.9.0: the standard deviation that KernelInceptionDistance gives is no error bar, and its compute() draws from the default generator.
#
# Guess before running: KID +- the number beside it covers what other samples of the same size would give.
# Seen: subsets of 10 out of 10 examples are the same each time, so that it says +- 2e-7, whereas the KID of fresh examples has
# a standard deviation of about 0.9; and the state of torch's default generator is another after compute().
# Hurts: tables of KID with errors, most of all where few samples are compared; and whoever evaluates during a training that is
# to go on with the same bits whether or not it was evaluated.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 torchmetrics==1.9.0 numpy==2.2.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torchmetrics.image.kid import KernelInceptionDistance

torch.manual_seed(0)
NUM, SIZE = 10, 8


def kid() -> tuple[float, float]:
    """KID of 10 examples of N(0, 1) in 8 dimensions and 10 of N(0.5, 1), as they are, and what stands beside it."""
    metric = KernelInceptionDistance(feature=torch.nn.Identity(), subsets=100, subset_size=NUM)
    metric.update(torch.randn(NUM, SIZE), real=True)
    metric.update(torch.randn(NUM, SIZE) + 0.5, real=False)
    before = torch.get_rng_state()
    value, beside = metric.compute()
    assert not torch.equal(before, torch.get_rng_state()), "compute() leaves the generator alone"
    return float(value), float(beside)


found = [kid() for _ in range(300)]
value, beside = found[0]
spread = torch.tensor([each for each, _ in found]).std().item()
print(f"KID {value:.4f} +- {beside:.1e}; its standard deviation over 300 fresh sets of examples {spread:.2f}")
assert beside < 1e-5 and spread > 0.5
PYTHON
