"""The staged base: text encoder, conditioning augmentation, memories and generator, trained together.

python scripts/base_staged_to_image/train.py --out runs/staged
"""

import argparse
import json
import random
from pathlib import Path

import torch
from captioned import CLASSES, caption, captioned

from modalities.staged_to_image import model_folder
from modalities.staged_to_image.captions import vocabulary
from modalities.staged_to_image.generator import TIMES, divergence
from modalities.staged_to_image.staged_flow import numbers
from scripts.stages import Run, set_rate

CONFIG = {
    "architecture": model_folder.KIND, "classes": CLASSES, "words": vocabulary([*CLASSES, *CLASSES.values()]),
    "dim": 48, "extra": 0, "fine": 24, "coarse": 64, "steps": 10,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--divergence", type=float, default=2e-4, help="weight of the code's nats")
    args = parser.parse_args()
    torch.manual_seed(3)
    torch.set_num_threads(1)
    pictures, labels, attributes = captioned("train")
    conditioner, generator = model_folder.build(CONFIG)
    parts = torch.nn.ModuleList([conditioner, generator])
    mean = torch.optim.swa_utils.AveragedModel(
        parts, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    optimizer = torch.optim.AdamW(parts.parameters(), lr=args.lr, weight_decay=0.0)
    run = Run(
        args.out, "staged", args.steps, {"parts": parts, "mean": mean, "optimizer": optimizer}, every_s=60
    )
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        draw = torch.Generator().manual_seed(step)
        rng = random.Random(f"captions:{step}")
        pick = torch.randint(len(pictures), (args.batch,), generator=draw).tolist()
        asked = [caption(int(labels[i]), attributes[i], rng) for i in pick]
        hidden = conditioner({"words": numbers(asked, CONFIG["words"])}).hidden
        noise = torch.randn(args.batch, 1, 28, 28, generator=draw)
        code_noise = torch.randn(args.batch, generator.code, generator=draw)
        times = torch.randint(TIMES, (args.batch,), generator=draw)
        error = generator.loss(pictures[pick].float() / 255, hidden, noise, code_noise, times).mean()
        nats = divergence(hidden).mean()
        optimizer.zero_grad()
        (error + args.divergence * nats).backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(parts)
        run.log(loss=error.item(), nats=nats.item())
    folder = args.out / "model"
    folder.mkdir(exist_ok=True)
    conditioner, generator = mean.module
    model_folder.write(folder, CONFIG, conditioner, generator)
    run.finish()
    print(json.dumps({"parameters": sum(p.numel() for p in parts.parameters())}))


if __name__ == "__main__":
    main()
