#!/usr/bin/env bash
# Builds the wheel, installs it into fresh environments outside the checkout, one for each interpreter that is given
# (default: that of .venv), and uses it there.  scripts/tools/check_wheel.sh [python3.12 python3.13 ...]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
uv="$root/.venv/bin/uv"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# of what is committed or about to be: a build in the checkout would take what an earlier one has left there
git -C "$root" ls-files -z --cached --others --exclude-standard | tar -C "$root" --null -T - -c | tar -x -C "$place" --one-top-level=source
"$uv" build --quiet --wheel --out-dir "$place/dist" "$place/source"
rm -rf "$place/source"
cd "$place"
[ $# -gt 0 ] || set -- "$root/.venv/bin/python"
for python in "$@"; do
  "$uv" venv --quiet --clear --python "$python" venv
  VIRTUAL_ENV="$place/venv" "$uv" pip install --quiet --constraint "$root/constraints.txt" dist/*.whl pip
  venv/bin/python -m pip check
  venv/bin/python - <<'END'
from importlib.metadata import distribution
licences = [path.name for path in distribution("redact-core").files if "licenses" in path.parts]
assert "LICENSE" in licences and len(licences) > 6, licences
END
  venv/bin/redact --help > /dev/null
  venv/bin/redact ls adapters | grep -q "  StableDiffusion "
  venv/bin/redact inspect bundled | grep -q text_encoder
  # both bundled models do their work, from the files in the wheel
  HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error venv/bin/python - <<'END'
from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeechT5
picture = StableDiffusion.from_pretrained("bundled")("a cigarette in noto style", seed=0).images[0]
voice = SpeechT5.from_pretrained("bundled")
clip = voice.bank.voices["voice21"][0]
(sound,) = voice.generate([clip], seeds=[0])
print(f"picture {picture.size}, {len(sound)} samples of sound")
END
  echo "The wheel works with $(venv/bin/python --version)."
done
