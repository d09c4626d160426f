"""Stage 2: the judge. Sees the pictures of the data set and never the generator's.

python scripts/recipes/class_to_image/classifier.py --out runs/fashion
"""

import argparse
import json
from pathlib import Path

import torch
from data import NAMES, fashion
from safetensors.torch import save_file

from lightning_modules.support.one_line import one_line
from modalities.class_to_image.classifier import Classifier
from scripts.experiments.stages import Run, set_rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=3e-3)
    args = parser.parse_args()
    torch.manual_seed(1)
    pictures, labels = fashion("train")
    network = Classifier(len(NAMES))
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=1e-2)
    run = Run(args.out, "classifier", args.steps, {"network": network, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        pick = torch.randint(
            len(pictures), (args.batch,), generator=torch.Generator().manual_seed(step + 10**6)
        )
        loss = torch.nn.functional.cross_entropy(network(pictures[pick].float() / 255), labels[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss.item())
    network.half().float()  # what is shipped is what is tested
    tested, truth = fashion("t10k")
    with torch.no_grad():
        said = torch.cat([network(part.float() / 255).argmax(1) for part in tested.split(500)])
    by_class = {n: (said[truth == i] == i).float().mean().item() for i, n in enumerate(NAMES)}
    grades = {"accuracy": (said == truth).float().mean().item(), "by class": by_class, "n": len(truth)}
    folder = args.out / "classifier"
    folder.mkdir(exist_ok=True)
    save_file(
        {k: v.half().contiguous() for k, v in network.state_dict().items()}, folder / "model.safetensors"
    )
    (folder / "labels.json").write_text(json.dumps(NAMES, allow_nan=False) + "\n")
    (args.out / "classifier_grades.json").write_text(json.dumps(grades, indent=1, allow_nan=False) + "\n")
    print(json.dumps(grades, allow_nan=False))
    run.finish()


if __name__ == "__main__":
    with one_line():
        main()
