"""How often the judge finds the class in pictures of the base, and whether attributes show.

python scripts/recipes/staged_to_image/grade.py --n 100

A *shade* shows where the picture is darker, or paler, than the median of the same class asked for
without attributes.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from captioned import measured

from lightning_modules.support.one_line import one_line
from modalities.class_to_image.classifier import Judge
from modalities.staged_to_image import StagedText
from modalities.staged_to_image.captions import FRAMES, SHADES, fill, phrase
from redact_core.metrics.statistics import wilson


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", default="bundled")
    parser.add_argument("--n", type=int, default=100, help="captions of each class")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    judge, model, rng = Judge(), StagedText(args.source), random.Random(0)
    grades: dict = {"found": {}, "found by the other name": {}, "shade shows": {}, "n": args.n}
    for i, (name, other) in enumerate(model.config["classes"].items()):
        seeds = range(1000 * i, 1000 * i + args.n)

        def ask(noun: str, shade: str = "", seeds: range = seeds) -> list[torch.Tensor]:
            frames = [rng.choice(FRAMES["seen"] + FRAMES["heldout"]) for _ in seeds]
            return model.generate([fill(frame, phrase(noun, shade)) for frame in frames], seeds=seeds)

        plain = ask(name)
        for group, pictures in (("found", plain), ("found by the other name", ask(other))):
            grades[group][name] = (judge(pictures).argmax(1) == judge.names.index(name)).sum().item()
        middle = measured(torch.stack(plain))[0].median()
        dark, pale = (measured(torch.stack(ask(name, shade)))[0] for shade in SHADES)
        grades["shade shows"][name] = ((dark < middle).sum() + (pale > middle).sum()).item() / 2
    for group in ("found", "found by the other name", "shade shows"):
        by_class, scale = grades[group], 2 if group == "shade shows" else 1
        total = wilson(int(scale * sum(by_class.values())), scale * args.n * len(by_class))
        shown = ", ".join(f"{name} {100 * count / args.n:.0f}" for name, count in by_class.items())
        print(f"{group}: {total}; {shown}")
    if args.out:
        args.out.write_text(json.dumps(grades, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    with one_line():
        main()
