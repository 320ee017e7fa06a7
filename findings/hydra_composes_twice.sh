#!/usr/bin/env bash
# Hydra 1.3.8: a plain run of a `@hydra.main` program composes its configuration twice, every file read and parsed again.
#
# Guess before running: a run composes its configuration once.
# Seen: it is composed first as a multirun, only to look up `hydra.mode`, and then as a run.
# Hurts: programs with many configuration groups pay half of their start-up for it. Composing by `hydra.compose` costs one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet hydra-core==1.3.8 omegaconf==2.3.1
cd "$folder"
echo "lr: 0.1" > config.yaml
cat > main.py <<'PYTHON'
import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl

composed, original = [], ConfigLoaderImpl.load_configuration


def counted(self, config_name, overrides, run_mode, **further):
    composed.append(run_mode.name)
    return original(self, config_name, overrides, run_mode, **further)


ConfigLoaderImpl.load_configuration = counted


@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(config):
    print("composed as", composed)
    assert composed == ["MULTIRUN", "RUN"]


main()
PYTHON
"$folder/venv/bin/python" main.py lr=0.2 hydra.run.dir=out hydra.output_subdir=null
