#!/bin/sh
# Trains tiny_rnnt from nothing: speech, float training, training under compression, evaluation.
#
#   training/run.sh FOLDER
#
# Each step writes its files whole; the same call goes on where an earlier one stopped. FOLDER takes
# 0.6 GB. Set PY to the Python that has the extra `train`.
set -eu
cd "$(dirname "$0")/.."
folder=${1:?usage: training/run.sh FOLDER}
python=${PY:-.venv/bin/python}
PYTHONPATH=training${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH

"$python" -m tiny_rnnt.make_data --out "$folder/data" --seed 1
"$python" -m tiny_rnnt.train --data "$folder/data" --out "$folder/model.pt" --seed 1
"$python" -m tiny_rnnt.finetune --data "$folder/data" --model "$folder/model.pt" --out "$folder/weights" --seed 1
"$python" -m tiny_rnnt.evaluate --data "$folder/data" --weights "$folder/weights" --out "$folder/results.json"
"$python" -m tiny_rnnt.table "$folder/results.json"
