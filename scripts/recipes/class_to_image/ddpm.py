"""Stage 3: the class-conditional diffusion model.

python scripts/recipes/class_to_image/ddpm.py --out runs/fashion
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from data import NAMES, fashion

from lightning_modules.support.one_line import one_line
from modalities.class_to_image.diffusion import build
from modalities.class_to_image.networks import ClassRows
from scripts.experiments.stages import Run, set_rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=3e-3)
    args = parser.parse_args()
    torch.manual_seed(2)
    pictures, labels = fashion("train")
    ddpm = build(len(NAMES))
    rows = ClassRows(len(NAMES), ddpm.places)
    optimizer = torch.optim.AdamW([*ddpm.parameters(), *rows.parameters()], lr=args.lr, weight_decay=0.0)
    run = Run(args.out, "ddpm", args.steps, {"ddpm": ddpm, "rows": rows, "optimizer": optimizer}, 60)
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        generator = torch.Generator().manual_seed(step)
        pick = torch.randint(len(pictures), (args.batch,), generator=generator)
        said = rows({"label": labels[pick]}).hidden[:, 0]
        noise = torch.randn(args.batch, *ddpm.noise_shape, generator=generator)
        times = torch.randint(ddpm.time_steps, (args.batch,), generator=generator)
        loss = ddpm.loss(pictures[pick].float() / 255, said, noise, times).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ddpm.parameters(), 50.0)
        optimizer.step()
        run.log(loss=loss.item())
    folder = args.out / "ddpm"
    unet: Any = ddpm.unet
    unet.class_embedding = rows.tables["embedding"]  # as diffusers knows it
    unet.half().save_pretrained(folder / "unet")
    ddpm.scheduler.save_pretrained(folder / "scheduler")
    config = {"architecture": "unet", "classes": NAMES, "steps": 10}
    (folder / "config.json").write_text(json.dumps(config, indent=1, allow_nan=False) + "\n")
    run.finish()


if __name__ == "__main__":
    with one_line():
        main()
