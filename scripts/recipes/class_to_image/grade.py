"""How often the judge finds the class in pictures of each generator, beside real ones as the ceiling.

python scripts/recipes/class_to_image/grade.py --sources bundled bundled-ddpm
"""

import argparse
import json
import time
from pathlib import Path

import torch
from data import NAMES, fashion

from lightning_modules.support.one_line import one_line
from modalities.class_to_image import ClassConditional
from modalities.class_to_image.classifier import Judge, entropy
from redact_core.metrics.statistics import wilson


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", nargs="+", default=["bundled", "bundled-ddpm"])
    parser.add_argument("--n", type=int, default=100, help="pictures of each class")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    judge, grades = Judge(), {}
    real, truth = fashion("t10k")
    for source in ("real test pictures", *args.sources):
        began = time.process_time()
        if source in args.sources:
            model = ClassConditional(source)
            asked = [name for name in NAMES for _ in range(args.n)]
            pictures = model.generate(asked, seeds=range(len(asked)))
        else:
            asked = [NAMES[i] for i in truth.tolist()]
            pictures = list(real.float() / 255)
        seconds = time.process_time() - began
        said = judge(pictures)
        hit = [judge.names[i] == name for i, name in zip(said.argmax(1).tolist(), asked, strict=True)]
        by_class = {
            n: sum(h for h, a in zip(hit, asked, strict=True) if a == n) / asked.count(n) for n in NAMES
        }
        grades[source] = {
            "found": sum(hit) / len(hit), "n": len(hit), "entropy": entropy(said).mean().item(),
            "by class": by_class,
        } | ({"seconds a picture": seconds / len(hit)} if source in args.sources else {})  # fmt: skip
        shown = ", ".join(f"{name} {100 * value:.0f}" for name, value in by_class.items())
        print(f"{source}: found in {wilson(sum(hit), len(hit))}, entropy {entropy(said).mean():.2f}; {shown}")
    if args.out:
        args.out.write_text(json.dumps(grades, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    with one_line():
        main()
