"""Copy what was trained into the package, with what it cost.

python scripts/recipes/staged_to_image/pack.py --run runs/staged --out modalities/staged_to_image/bundled
"""

import argparse
import shutil
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in sorted((args.run / "model").iterdir()):
        shutil.copyfile(path, args.out / path.name)
    shutil.copyfile(args.run / "times.json", args.out / "recipe.json")
    size = sum(path.stat().st_size for path in args.out.iterdir() if path.is_file())
    print(f"{args.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
