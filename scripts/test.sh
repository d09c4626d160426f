#!/usr/bin/env bash
# Sets up .venv and runs the tests; arguments go to pytest, e.g. scripts/test.sh -m slow
# A process with one thread on each core: small models gain nothing from more threads.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec .venv/bin/python -m pytest -n auto --dist loadfile "$@"
