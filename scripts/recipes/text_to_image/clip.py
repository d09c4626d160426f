"""Stage 2: a CLIP trained contrastively; its text tower is what the pipeline listens to.

    python scripts/recipes/text_to_image/clip.py --out runs/base --name clip
    python scripts/recipes/text_to_image/clip.py --out runs/base --name clip_judge --width 96 --seed 1 \
        --steps 1000 --concepts 32

The second call trains the independent judge: other seed, other width, the same captions.
"""

import argparse
import math
import random
from pathlib import Path

import numpy as np
import torch
from captions import LENGTH, Caption, Captioner, train_tokenizer
from pictures import rows, shrink
from torch.nn.functional import cross_entropy, interpolate, log_softmax
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from scripts.experiments.stages import Run, set_rate


def build(tokenizer: CLIPTokenizer, width: int) -> CLIPModel:
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "projection_dim": 128,
    }
    vision = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 64,
        "patch_size": 16,
        "projection_dim": 128,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def agreement(captions: list[Caption], images: np.ndarray, parents: np.ndarray) -> torch.Tensor:
    """``(captions, images)`` bool: does the picture show all that the caption pins down?"""
    asked = np.array([[c.concept, c.parent, c.style, c.background] for c in captions])
    shown = np.stack([images[:, 0], parents[images[:, 0]], images[:, 1], images[:, 2]], 1)
    return torch.from_numpy(((asked[:, None] == -1) | (asked[:, None] == shown[None])).all(-1))


def contrastive(logits: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with every agreeing partner as a target, in both directions."""
    target = match.float()
    rows_ = -(target / target.sum(1, keepdim=True) * log_softmax(logits, 1)).sum(1).mean()
    columns = -(target / target.sum(0, keepdim=True) * log_softmax(logits, 0)).sum(0).mean()
    return (rows_ + columns) / 2


class Heads(torch.nn.Module):
    """Linear readers of concept, style and background, used in training only.

    The contrastive loss alone is slow to pull the many phrasings of one concept together; a direct
    question to each tower does it in a fraction of the steps. They are thrown away afterwards.
    """

    def __init__(self, width: int, classes: list[int]):
        super().__init__()
        self.heads = torch.nn.ModuleList(torch.nn.Linear(width, n) for n in classes)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy; ``labels`` ``(batch, heads)``, -1 where the caption leaves it open."""
        losses = [cross_entropy(head(x), labels[:, i], ignore_index=-1) for i, head in enumerate(self.heads)]
        return torch.stack(losses).mean()


def pixels(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """uint8 -> normalised floats; half of them at the resolution of samples, shifted, some noisy."""
    shift = torch.randint(-3, 4, (2,), generator=generator).tolist()
    x = torch.roll(images.float() / 127.5 - 1, shift, (2, 3))
    half = len(x) // 2
    x[:half] = interpolate(shrink(x[:half]), size=64, mode="bilinear", antialias=True)
    noise = torch.rand(len(x), 1, 1, 1, generator=generator) * 0.15
    return x + noise * torch.randn(x.shape, generator=generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="clip")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--concepts", type=int, default=64, help="concepts in a batch, four pictures each")
    parser.add_argument("--init", type=Path, help="folder of an earlier CLIP to start from")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    tokenizer = train_tokenizer(args.out / args.name)
    data = [row for row in rows() if not row["held"]]
    images = torch.from_numpy(np.stack([row["image"] for row in data])).permute(0, 3, 1, 2)
    labels = np.array([[row["concept"], row["style"], row["background"]] for row in data])
    captioner = Captioner("both")
    parents = np.array([captioner.parent_of(c) for c in range(len(captioner.entries))])
    of_concept = [np.flatnonzero(labels[:, 0] == c) for c in range(len(parents))]
    model = CLIPModel.from_pretrained(args.init).train() if args.init else build(tokenizer, args.width)
    sizes = [len(parents), len(captioner.styles), len(captioner.backgrounds)]
    heads = torch.nn.ModuleList([Heads(128, sizes), Heads(128, sizes)])
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *heads.parameters()], lr=args.lr, weight_decay=0.02, betas=(0.9, 0.98)
    )
    run = Run(args.out, args.name, args.steps, {"model": model, "heads": heads, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100, floor=0.02)
        rng = random.Random(f"{args.seed}:{step}")
        # four pictures of each concept: style and background must be told apart as well
        pick = np.concatenate(
            [rng.sample(list(of_concept[c]), 4) for c in rng.sample(range(len(parents)), args.concepts)]
        )
        batch = [captioner(*labels[i], rng) for i in pick]
        tokens = tokenizer(
            [c.text for c in batch],
            padding="longest",
            truncation=True,
            max_length=LENGTH,
            return_tensors="pt",
        )
        x = pixels(images[pick], torch.Generator().manual_seed(step))
        # the mask is not passed, as Stable Diffusion does not pass it
        output = model(input_ids=tokens.input_ids, pixel_values=x)
        match = agreement(batch, labels[pick], parents)
        asked = torch.tensor([[c.concept, c.style, c.background] for c in batch])
        loss = contrastive(output.logits_per_text, match)
        loss = loss + heads[0](output.text_model_output.pooler_output, asked)
        loss = loss + heads[1](output.vision_model_output.pooler_output, torch.from_numpy(labels[pick]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
            right = match[torch.arange(len(pick)), output.logits_per_text.argmax(1)]
        run.log(loss=loss.item(), accuracy=right.float().mean().item())
    folder = args.out / args.name
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    half = [0.5, 0.5, 0.5]
    CLIPImageProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, image_mean=half, image_std=half
    ).save_pretrained(folder)
    run.finish()


if __name__ == "__main__":
    main()
