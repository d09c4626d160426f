#!/usr/bin/env bash
# The main job on the bundled bases: a concept, an artist's style and a voice stop working; all three
# are graded and shown. Everything goes to the folder of --out (default out/demo), which must not
# exist. Needs no network after installation and no data.
set -euo pipefail
cd "$(dirname "$0")/.."
out=out/demo
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=${2:?--out needs a folder}; shift 2 ;;
    *) echo "demo.sh: unknown argument $1; use --out FOLDER" >&2; exit 2 ;;
  esac
done
if [ -e "$out" ]; then echo "$out exists; give another folder or remove it." >&2; exit 2; fi
bash scripts/setup.sh
began=$SECONDS
mkdir -p "$out"
half=$(( ($(nproc) + 1) / 2 ))
echo "Style and voice are redacted beside the concept; what they say goes to $out/no_twemoji.log and $out/no_voice.log."
fit() { OMP_NUM_THREADS=$half .venv/bin/redact fit -c "configs/$1.yaml" --export.folder "$out/$2" "${@:3}"; }
steps=(--trainer.max_steps 180)  # the configs take 220; this is to end within five minutes
# towards another style, which is free of the first; random wordings stand for those that nobody taught (docs/results/results.md)
# and take all of the 220 steps
style_options=(--data.redact "style: twemoji" --data.reference "style: fluent" --model.adapter.random_wordings 960)
fit text_to_image/bundled_style no_twemoji "${style_options[@]}" >"$out/no_twemoji.log" 2>&1 &
style=$!
fit text_to_speech/bundled no_voice >"$out/no_voice.log" 2>&1 &
voice=$!
trap 'kill "$style" "$voice" 2>/dev/null || true' EXIT
fit text_to_image/bundled no_cigarette "${steps[@]}"
wait "$style" || { cat "$out/no_twemoji.log" >&2; exit 1; }
wait "$voice" || { cat "$out/no_voice.log" >&2; exit 1; }
.venv/bin/python scripts/experiments/demo.py --out "$out"
echo "All of it took $((SECONDS - began)) s after installation."
