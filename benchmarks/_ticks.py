"""`python -c SOURCE STEPS ...` is `dgmrun ...`, and prints how many batches a second it trained on, of its last."""

import sys
from collections import defaultdict
from time import perf_counter

from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from dgmrun.cli import main

steps = int(sys.argv.pop(1))
ticks: dict[Optimizer, list[float]] = defaultdict(list)  # of each player
register_optimizer_step_post_hook(lambda optimizer, *_: ticks[optimizer].append(perf_counter()))
status = main()
first = next(iter(ticks.values()))
print(steps / (first[-1] - first[-1 - steps]))
sys.exit(status)
