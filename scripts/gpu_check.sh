#!/usr/bin/env bash
# What needs a GPU, in at most ten minutes of one: tests, trainings, step times, the demo's figures.
#     bash scripts/gpu_check.sh --out out/gpu_check
#     PYTHON=python3 bash scripts/gpu_check.sh --out out/gpu_check    # with packages that are there already
# Without PYTHON it sets up .venv first. A part that fails is reported, and the others go on.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
  bash scripts/setup.sh
  PYTHON=.venv/bin/python
fi
exec "$PYTHON" -u scripts/gpu_check.py "$@"
