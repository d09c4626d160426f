#!/usr/bin/env bash
# Makes .venv with the pinned versions, once; later calls notice that nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v python3.11 || command -v python3.12 || command -v python3)
want=$("$python" --version; cat pyproject.toml constraints.txt)
if [ "$want" != "$(cat .venv/installed 2>/dev/null)" ]; then
  echo "Installing into .venv (some minutes, about 5 GB) ..."
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --upgrade "pip>=25.1" uv
  # compiled once here, and not by each process of the demo and the tests
  VIRTUAL_ENV="$PWD/.venv" .venv/bin/uv pip install --quiet --compile-bytecode --constraint constraints.txt --editable ".[recipes]" --group dev --group docs
  echo "$want" > .venv/installed
fi
