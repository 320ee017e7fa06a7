#!/usr/bin/env bash
# Lightning 2.6.6 with MLflow 3.17.2: `MLFlowLogger()`, with nothing set, cannot log.
#
# Guess before running: it writes to the folder mlruns, as its documentation says.
# Seen: the first metric raises an MlflowException, as MLflow has retired stores of files, which are the logger's default.
# Hurts: every training with `logger=MLFlowLogger()`, after the model has been built; `tracking_uri="sqlite:///mlflow.db"` works.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 lightning==2.6.6 mlflow==3.17.2
cd "$folder"
venv/bin/python - <<'PYTHON'
from lightning.pytorch.loggers import MLFlowLogger

for settings in ({}, {"tracking_uri": "sqlite:///mlflow.db"}):
    try:
        MLFlowLogger(**settings).log_metrics({"loss": 1.0}, step=0)
        print(settings, "logs")
        assert settings
    except Exception as error:
        print(settings, type(error).__name__, str(error)[:80])
        assert not settings
PYTHON
