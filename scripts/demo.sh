#!/usr/bin/env bash
# Sets up .venv, then the main job on the bundled bases: a concept, an artist's style and a voice stop working; all
# three are graded and shown. Arguments go to `redact demo`; everything goes to the folder of --out (default out/demo),
# which must not exist. Needs no network after installation and no data.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
exec .venv/bin/redact demo "$@"
