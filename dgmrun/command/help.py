"""Text of `dgmrun --help`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dgmrun.paths import GROUPS, options
from dgmrun.report.header import header
from dgmrun.report.terminal import wrapped

WIDTH = 100
"""Largest number of columns."""

HELP = """\
dgmrun trains deep generative models and scores them in nats, with an error bar.

  dgmrun model=rbm train log_z likelihood sample      make a run and do these stages
  dgmrun log_z likelihood run=outputs/<a run>         do stages on a run that there is
  dgmrun train run=outputs/<a run>                    go on with an interrupted training
  dgmrun compare outputs                              runs side by side; compare --help tells more
  dgmrun list                                         models, objectives, datasets, devices
  dgmrun --cfg job model=rbm                          every key and its value
  dgmrun --config-dir=FOLDER ...                      with your own options, here and in list

Stages, done in the order given (none given: train)
{stages}
Choices, as group=option
{groups}
Keys, as key=value; the ones most used
  model.hidden=500            size of the model
  objective.k=1               Gibbs steps of cd and pcd
  optimizer.lr=0.05           learning rate
  dataset.batch_size=100      examples in a batch
  trainer.max_steps=2000      batches to train on; trainer.max_epochs, trainer.max_time=DD:HH:MM:SS
  trainer.patience=10         stop after so many validations without improvement
  log_z.methods=[exact,ais]   log_z.ais.num_chains, log_z.ais.num_temperatures, ...
  likelihood.split=test       or a list of train, valid, test
  given=labels                p(x | labels) in place of p(x); given=x for p(labels | x)
  weights=FILE                start from .safetensors, .npz or a run
  seed=0   name=NAME   tags=[a,b]   data_dir=FOLDER (or $DGMRUN_DATA)   hydra.run.dir=FOLDER

Exit status: 0 done, 1 the run failed, 2 a mistake in the command, 130 interrupted."""


def text(search_path: Sequence[Path] = ()) -> str:
    """Returns the help, with all available options, including those in `search_path`."""
    groups = _aligned({f"{group}=": ", ".join(options(group, search_path)) for group in GROUPS})
    stages = _aligned({word: header(file).lines[0] for word, file in options("stage").items()})
    return HELP.format(stages=stages, groups=groups)


def _aligned(told: Mapping[str, str]) -> str:
    return "".join(f"{line}\n" for word, text in told.items() for line in wrapped(text, f"  {word:13}", WIDTH))
