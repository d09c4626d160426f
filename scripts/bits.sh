#!/usr/bin/env bash
# Runs the tests that compare numbers exactly as other machines would compute them: with other vector instructions
# and another number of threads. Needs .venv (scripts/setup.sh); arguments go to pytest. Takes about three times as
# long as the tests themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
files=$(grep -rlE 'torch\.equal\(|array_equal|rtol=0\b' tests --include='test_*.py' | grep -v '^tests/gpu/')
for setting in "OMP_NUM_THREADS=2" "OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default" \
  "OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=avx2 DNNL_MAX_CPU_ISA=AVX2"; do
  echo "== $setting"
  # shellcheck disable=SC2086
  env $setting .venv/bin/python -m pytest -q $files "$@"
done
