"""A half-precision folder for the package.

python scripts/recipes/mel_to_speech/pack.py --run runs/vocoder --out modalities/mel_to_speech/bundled
"""

import argparse
import shutil
import sys
from pathlib import Path

import torch

from lightning_modules.support.one_line import one_line
from modalities.mel_to_speech.model_folder import build, write

sys.path.insert(0, str(Path(__file__).parent))
from train import CONFIG


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    state = torch.load(args.run / "checkpoints" / "vocoder.pt", weights_only=True)
    conditioner, generator = build(CONFIG)
    conditioner.load_state_dict(state["conditioner"])
    generator.load_state_dict(state["generator"])
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out, CONFIG, conditioner, generator)
    shutil.copyfile(args.run / "times.json", args.out / "recipe.json")
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: {state['step']} steps, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    with one_line():
        main()
