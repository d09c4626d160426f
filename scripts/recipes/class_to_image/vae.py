"""Stage 1: the class-conditional variational autoencoder.

python scripts/recipes/class_to_image/vae.py --out runs/fashion
"""

import argparse
import json
from pathlib import Path

import torch
from data import NAMES, fashion
from safetensors.torch import save_file

from lightning_modules.support.one_line import one_line
from modalities.class_to_image.networks import ClassRows, Vae
from scripts.experiments.stages import Run, set_rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    pictures, labels = fashion("train")
    config = {"architecture": "vae", "classes": NAMES, "latent": 16, "embedding": 16, "widths": [256, 128]}
    vae = Vae(config["latent"], config["embedding"], config["widths"])
    rows = ClassRows(len(NAMES), vae.places)
    optimizer = torch.optim.AdamW([*vae.parameters(), *rows.parameters()], lr=args.lr, weight_decay=0.0)
    run = Run(args.out, "vae", args.steps, {"vae": vae, "rows": rows, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        generator = torch.Generator().manual_seed(step)
        pick = torch.randint(len(pictures), (args.batch,), generator=generator)
        said = rows({"label": labels[pick]}).hidden[:, 0]
        noise = torch.randn(args.batch, vae.latent, generator=generator)
        loss = vae.loss(pictures[pick].float() / 255, said, noise).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss.item())
    folder = args.out / "vae"
    folder.mkdir(exist_ok=True)
    state = {f"classes.{k}": v for k, v in rows.tables.state_dict().items()}
    state |= {f"generator.{k}": v for k, v in vae.state_dict().items()}
    save_file({k: v.half().contiguous() for k, v in state.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=1, allow_nan=False) + "\n")
    run.finish()


if __name__ == "__main__":
    with one_line():
        main()
