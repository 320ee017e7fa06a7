"""`python -m benchmarks._first_step ...` is `dgmrun ...`, ended by its first optimiser step."""

import os
import sys

from torch.optim.optimizer import register_optimizer_step_post_hook

from dgmrun.cli import main

register_optimizer_step_post_hook(lambda *_: os._exit(0))
sys.exit(main() or "error: no step was made")
