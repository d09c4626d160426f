"""The staged base: the text encoder beforehand, as DM-GAN's, then all that hears it.

    python scripts/recipes/staged_to_image/train.py --out runs/staged

The text encoder learns to tell class and attributes from captions (in place of DAMSM's matching of
captions and pictures) and is frozen. At first the latent variable is dear, so that the decoder learns
what the caption says before it learns what it does not.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from captioned import CLASSES, caption, captioned
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.support.one_line import one_line
from modalities.staged_to_image import model_folder
from modalities.staged_to_image.captions import SHADES, SURFACES, vocabulary
from modalities.staged_to_image.conditioner import TextEncoder
from modalities.staged_to_image.generator import divergence
from modalities.staged_to_image.staged_text import numbers
from scripts.experiments.stages import Run, set_rate

CONFIG = {
    "architecture": model_folder.KIND, "classes": CLASSES, "words": vocabulary([*CLASSES, *CLASSES.values()]),
    "dim": 48, "extra": 0, "latent": 8, "width": 32,
}  # fmt: skip


class Batches:
    """Pictures ``(batch, 1, 28, 28)``, words ``(batch, 16)`` and what they say ``(batch, 3)``, by step."""

    def __init__(self, size: int):
        self.size = size
        self.pictures, self.labels, self.attributes = captioned("train")

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = random.Random(f"captions:{step}")
        pick = [rng.randrange(len(self.labels)) for _ in range(self.size)]
        asked = [caption(int(self.labels[i]), self.attributes[i], rng) for i in pick]
        said = [
            (int(self.labels[i]), ("", *SHADES).index(shade), ("", *SURFACES).index(surface))
            for i, (_, (shade, surface)) in zip(pick, asked, strict=True)
        ]
        words = numbers([text for text, _ in asked], CONFIG["words"])
        return self.pictures[pick].float() / 255, words, torch.tensor(said)


def listen(text: TextEncoder, batches: Batches, out: Path, steps: int) -> None:
    """Train the text encoder to say class, shade and surface from its sentence vector."""
    head = nn.Linear(CONFIG["dim"], len(CLASSES) + 6)
    optimizer = torch.optim.AdamW([*text.parameters(), *head.parameters()], lr=1e-2, weight_decay=0.0)
    run = Run(out, "text", steps, {"text": text, "head": head, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, 1e-2, step, steps, 20)
        _, words, said = batches(10**6 + step)
        guesses = head(text(words)[1]).split([len(CLASSES), 3, 3], 1)
        loss = sum(F.cross_entropy(guess, said[:, i]) for i, guess in enumerate(guesses))
        assert isinstance(loss, Tensor)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(text.parameters(), 1.0)
        optimizer.step()
        right = [(guess.argmax(1) == said[:, i]).float().mean().item() for i, guess in enumerate(guesses)]
        run.log(loss=loss.item(), right=min(right))
    run.finish()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text-steps", type=int, default=400)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--divergence", type=float, default=0.1, help="weight of the code's nats")
    args = parser.parse_args()
    torch.manual_seed(3)
    torch.set_num_threads(1)
    batches = Batches(args.batch)
    conditioner, generator = model_folder.build(CONFIG)
    listen(conditioner.text, batches, args.out, args.text_steps)
    conditioner.text.requires_grad_(False)
    parts = nn.ModuleList([conditioner, generator])
    optimizer = torch.optim.AdamW(
        [p for p in parts.parameters() if p.requires_grad], lr=args.lr, weight_decay=0.0
    )
    run = Run(args.out, "staged", args.steps, {"parts": parts, "optimizer": optimizer}, every_s=60)
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        pictures, words, _ = batches(step)
        draw = torch.Generator().manual_seed(step)
        noise = torch.randn(args.batch, generator.latent, generator=draw)
        code_noise = torch.randn(args.batch, generator.code, generator=draw)
        hidden = conditioner({"words": words}).hidden
        weight = 1 + 9 * max(0.0, 1 - 4 * step / args.steps)
        loss = generator.loss(pictures, hidden, noise, code_noise, weight).mean()
        nats = divergence(*hidden[:, 0].chunk(2, 1)).mean()
        optimizer.zero_grad()
        (loss + args.divergence * nats).backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 50.0)
        optimizer.step()
        run.log(loss=loss.item(), nats=nats.item())
    folder = args.out / "model"
    folder.mkdir(exist_ok=True)
    model_folder.write(folder, CONFIG, conditioner, generator)
    run.finish()
    print(json.dumps({"parameters": sum(p.numel() for p in parts.parameters())}, allow_nan=False))


if __name__ == "__main__":
    with one_line():
        main()
