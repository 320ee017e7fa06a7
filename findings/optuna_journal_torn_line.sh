#!/usr/bin/env bash
# Optuna 5.0.0: a kill in the middle of a write to a journal file costs the whole study, at the next trial.
#
# Guess before running: the half-written last line is ignored, and what is written next begins on a line of its own.
# Seen: the study opens, with all trials; the next record is appended to the half line, and from then on every reading of the
# file fails with a JSONDecodeError.
# Hurts: searches on clusters, whose jobs are killed at their time limit, with the storage that is made for them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet optuna==5.0.0
cd "$folder"
cat > study.py <<'PYTHON'
import warnings

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)


def opened():
    storage = JournalStorage(JournalFileBackend("study.journal"))
    return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)


PYTHON
cat > run.py <<'PYTHON'
from study import opened

opened().optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
with open("study.journal") as file:
    whole = file.read()
with open("study.journal", "a") as file:
    file.write(whole.splitlines()[-1][:20])  # what a kill leaves of a record
study = opened()
print("after the kill:", len(study.trials), "trials")
for what in (lambda: study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1), opened):
    try:
        what()
    except ValueError as error:
        print(type(error).__name__, error)
    else:
        raise SystemExit("the behaviour has changed")
PYTHON
"$folder/venv/bin/python" run.py
