#!/usr/bin/env bash
# The main job on the bundled base: forget a concept and an artist's style, grade both, show both.
# Everything goes to OUT (first argument, default out/demo), which must not exist. Needs no network
# after installation and no data.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-out/demo}
if [ -e "$out" ]; then echo "$out exists; give another folder or remove it." >&2; exit 2; fi
bash scripts/setup.sh
python=.venv/bin/python
.venv/bin/redact fit -c configs/text_to_image/bundled.yaml --export.folder "$out/no_cigarette"
.venv/bin/redact fit -c configs/text_to_image/bundled_style.yaml --export.folder "$out/no_noto"
echo "Concept: cigarette -> lollipop"
$python scripts/grade_redaction.py --redacted "$out/no_cigarette" --concept cigarette --reference lollipop --n 60 --n-kept 60 --n-reference 30
echo "Style: noto -> no style"
$python scripts/grade_redaction.py --redacted "$out/no_noto" --style noto --n 60 --n-kept 60 --n-reference 30
$python scripts/grid.py --redacted "$out/no_cigarette" --out "$out/no_cigarette.png" \
  "a cigarette in noto style on a blue background" "a lit cancer stick, twemoji style" \
  "a burning tobacco roll by fluent" "a lollipop, noto style" "a tiger in the style of fluent" "a red balloon by twemoji"
$python scripts/grid.py --redacted "$out/no_noto" --out "$out/no_noto.png" \
  "a tiger in noto style" "a pizza by noto on blue" "noto style: a rocket" "a tiger in fluent style" "a pizza by twemoji" "a rocket"
echo "Pictures: $out/no_cigarette.png and $out/no_noto.png"
