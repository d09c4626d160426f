"""Stage 3: the independent grader, a small residual network with heads for concept, style, setting.

    python scripts/recipes/text_to_image/grader.py --out runs/base

It never sees a caption. Class ``n_concepts`` of the concept head is "none of these": other
artwork, mixtures, noise and scrambled pictures, so that noise does not pass for anything.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from pictures import BACKGROUNDS, SIZE, STYLES, concepts, distractors, rows, shrink
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy, interpolate

from lightning_modules.support.one_line import one_line
from modalities.text_to_image.metrics.grader import Grader, write_labels
from scripts.experiments.stages import Run, set_rate


def corrupt(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift, flip, blur, noise and tint: how samples of a small model differ from the artwork."""

    def chance(p: float) -> bool:
        return torch.rand((), generator=generator).item() < p

    x = torch.roll(x, torch.randint(-2, 3, (2,), generator=generator).tolist(), (2, 3))
    if chance(0.3):
        x = x.flip(3)
    if chance(0.4):
        size = int(torch.randint(14, 29, (), generator=generator))
        x = interpolate(interpolate(x, size=size, mode="area"), size=SIZE, mode="bilinear")
    gain = 1 + 0.1 * torch.randn(len(x), 3, 1, 1, generator=generator)
    level = 0.12 * torch.rand(len(x), 1, 1, 1, generator=generator)
    return x * gain + level * torch.randn(x.shape, generator=generator)


def nothing(x: torch.Tensor, others: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures that show none of the concepts: other artwork, mixtures, scrambles, noise, flats."""
    n = len(others)
    out = others.clone()
    a, b = (
        x[torch.randperm(len(x), generator=generator)[:n]],
        x[torch.randperm(len(x), generator=generator)[:n]],
    )
    kind = torch.rand(n, generator=generator)
    mixed = (a + b) / 2
    patches = a.unfold(2, 8, 8).unfold(3, 8, 8).reshape(n, 3, 16, 8, 8)
    order = torch.randperm(16, generator=generator)
    scrambled = (
        patches[:, :, order].reshape(n, 3, 4, 4, 8, 8).permute(0, 1, 2, 4, 3, 5).reshape(n, 3, SIZE, SIZE)
    )
    noise = interpolate(torch.randn(n, 3, 8, 8, generator=generator), size=SIZE, mode="bilinear")
    flat = a[:, :, :1, :1].expand_as(a)
    for low, high, what in ((0.5, 0.65, mixed), (0.65, 0.8, scrambled), (0.8, 0.9, noise), (0.9, 1.0, flat)):
        choose = (kind >= low) & (kind < high)
        out[choose] = what[choose]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--batch", type=int, default=96)
    args = parser.parse_args()
    torch.manual_seed(7)
    data = rows()
    images = small(np.stack([row["image"] for row in data]))
    labels = torch.tensor([[row["concept"], row["style"], row["background"]] for row in data])
    others = small(distractors())
    decoded = reconstruct(args.out / "vae", images)
    grader = Grader(len(concepts()), len(STYLES), len(BACKGROUNDS))
    optimizer = torch.optim.AdamW(grader.parameters(), lr=3e-3, weight_decay=0.02)
    run = Run(args.out, "grader", args.steps, {"grader": grader, "optimizer": optimizer})
    n_none = args.batch // 6
    for step in run:
        generator = torch.Generator().manual_seed(step)
        set_rate(optimizer, 3e-3, step, args.steps, 50)
        pick = torch.randint(len(images), (args.batch,), generator=generator)
        source = decoded if step % 2 else images
        x = source[pick].float() / 127.5 - 1
        other = others[torch.randint(len(others), (n_none,), generator=generator)].float() / 127.5 - 1
        y = nothing(x, other, generator)
        z = corrupt(torch.cat([x, y]), generator).contiguous(memory_format=torch.channels_last)
        heads = grader(z)
        target = torch.cat([labels[pick, 0], torch.full((n_none,), len(concepts()))])
        loss = cross_entropy(heads["concept"], target, label_smoothing=0.05)
        for i, name in enumerate(("style", "background"), start=1):
            loss = loss + 0.5 * cross_entropy(
                heads[name][: args.batch], labels[pick, i], label_smoothing=0.05
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss.item(), concept=(heads["concept"].argmax(1) == target).float().mean().item())
    folder = args.out / "grader"
    folder.mkdir(exist_ok=True)
    grader.eval()
    save_file(
        {key: value.contiguous() for key, value in grader.state_dict().items()}, folder / "model.safetensors"
    )
    write_labels(folder, [*concepts()], [*STYLES], [*BACKGROUNDS])
    run.finish()


def small(images: np.ndarray) -> torch.Tensor:
    """``(n, 64, 64, 3)`` uint8 to ``(n, 3, SIZE, SIZE)`` uint8."""
    return shrink(torch.from_numpy(images).permute(0, 3, 1, 2).float()).round().to(torch.uint8)


@torch.no_grad()
def reconstruct(folder: Path, images: torch.Tensor) -> torch.Tensor:
    """uint8 pictures after the autoencoder, uint8."""
    vae = AutoencoderKL.from_pretrained(folder).eval().to(memory_format=torch.channels_last)
    out = []
    for part in images.split(128):
        y = vae.decode(vae.encode(part.float() / 127.5 - 1).latent_dist.mean).sample
        out.append(((y.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
    return torch.cat(out)


if __name__ == "__main__":
    with one_line():
        main()
