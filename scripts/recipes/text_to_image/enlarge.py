"""Stage 6: the autoencoder again, in 64 pixels, over the very latents of stage 1.

    python scripts/recipes/text_to_image/enlarge.py --out runs/base --packed modalities/text_to_image/bundled/pipeline

Latents are what the denoiser speaks, so it goes on speaking them: the new encoder learns to answer a picture
of 64 pixels as the old one answered it in 32, the new decoder to draw the 64. The inner levels start as they
are in stage 1, one more level is put around them. What the denoiser makes is no encoder's answer: on latents
that it drew, the new pictures, shrunk, are held to the old decoder's.
"""

import argparse
import json
import random
from collections.abc import Callable
from functools import partial
from operator import eq
from pathlib import Path

import torch
from captions import Captioner
from diffusers import AutoencoderKL, StableDiffusionPipeline
from pictures import BACKGROUNDS, STYLES, concepts, held_out, shrink
from tqdm import tqdm
from vae import pool, reconstruction, tinted

from lightning_modules.support.one_line import one_line
from modalities.text_to_image.metrics.grader import Judge
from redact_core.metrics.statistics import wilson
from scripts.experiments.stages import Run, set_rate

WIDTHS = (32, 32, 64, 96)
CHECKED = 1024
"""Drawn latents, other than those of the training, on which the grader compares old and new pictures."""


def enlarged(old: AutoencoderKL) -> AutoencoderKL:
    """An autoencoder of twice the side, whose inner levels are those of ``old``."""
    levels = len(WIDTHS)
    new = AutoencoderKL(
        3, 3, ("DownEncoderBlock2D",) * levels, ("UpDecoderBlock2D",) * levels, WIDTHS, 1,
        latent_channels=old.config["latent_channels"], norm_num_groups=8, sample_size=64,
        mid_block_add_attention=False, scaling_factor=1.0,
    )  # fmt: skip
    state = {}
    for key, value in old.state_dict().items():
        if key.startswith("encoder.conv_in"):
            continue  # looks at pixels of another size
        if key.startswith("encoder.down_blocks."):
            level, _, rest = key.removeprefix("encoder.down_blocks.").partition(".")
            key = f"encoder.down_blocks.{int(level) + 1}.{rest}"
        state[key] = value
    new.load_state_dict(state, strict=False)
    torch.nn.init.dirac_(new.decoder.up_blocks[-2].upsamplers[0].conv.weight)
    return new.to(memory_format=torch.channels_last)


@torch.no_grad()
def drawn(pipeline: StableDiffusionPipeline, count: int, seed: int) -> torch.Tensor:
    """Latents ``(count, 8, 8, 8)`` that the denoiser draws for captions of trained pairs, half precision."""
    pipeline.set_progress_bar_config(disable=True)
    rng, captioner, names = random.Random(seed), Captioner("both"), list(concepts())
    parts = []
    for start in tqdm(range(0, count, 64), desc="drawn latents"):
        prompts = []
        while len(prompts) < 64:
            concept, style = rng.randrange(len(names)), rng.randrange(len(STYLES))
            if not held_out(names[concept], list(STYLES)[style]):
                prompts.append(captioner(concept, style, rng.randrange(len(BACKGROUNDS)), rng).text)
        parts.append(
            pipeline(
                prompts, num_inference_steps=10, guidance_scale=3.0, output_type="latent", height=32, width=32,
                generator=torch.Generator().manual_seed(1_000_003 * (seed - 1) + start),
            ).images
        )  # fmt: skip
    return torch.cat(parts)[:count].half()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--packed", type=Path, required=True, help="the pipeline with the autoencoder of stage 1"
    )
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--drawn", type=int, default=2048)
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    pipeline = StableDiffusionPipeline.from_pretrained(
        args.packed, safety_checker=None, torch_dtype=torch.float32
    )
    latents, others = (
        cached(args.out / f"drawn{seed}.pt", partial(drawn, pipeline, count, seed))
        for seed, count in ((1, args.drawn), (2, CHECKED))
    )
    old = pipeline.vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    images, masks, share = pool()
    colors = torch.tensor(list(BACKGROUNDS.values())).float() / 255
    vae = enlarged(old)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=args.lr, weight_decay=1e-4, betas=(0.9, 0.98))
    run = Run(args.out, "enlarge", args.steps, {"vae": vae, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        generator = torch.Generator().manual_seed(step)
        pick = torch.multinomial(share, args.batch, replacement=True, generator=generator)
        tint = colors[torch.randint(len(colors), (args.batch,), generator=generator)]
        x = tinted(images[pick], masks[pick], tint) * 2 - 1
        x = x.contiguous(memory_format=torch.channels_last)
        some = latents[torch.randint(len(latents), (args.batch // 4,), generator=generator)]
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                z = old.encode(shrink(x)).latent_dist.mean.float()
                seen = old.decode(some).sample.float()
            heard = vae.encode(x).latent_dist.mean
            noise = torch.randn(z.shape, generator=generator)
            pictures = vae.decode(torch.cat([z + 0.1 * noise, some])).sample
        drawing, shrunk = pictures[: len(x)].float(), shrink(pictures[len(x) :].float())
        encoder = (heard.float() - z).square().mean()
        decoder = reconstruction(drawing, x)
        guard = reconstruction(shrunk, seen)
        optimizer.zero_grad()
        (encoder + decoder + 0.5 * guard).backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        run.log(encoder=encoder.item(), decoder=decoder.item(), drawn=guard.item())
    vae.eval().save_pretrained(args.out / "vae64")
    print(json.dumps(agreement(old, vae, others), indent=1, allow_nan=False))
    run.finish()


def cached(path: Path, make: Callable[[], torch.Tensor]) -> torch.Tensor:
    if not path.exists():
        torch.save(make(), path)
    return torch.load(path, weights_only=True).float()


@torch.no_grad()
def agreement(old: AutoencoderKL, new: AutoencoderKL, latents: torch.Tensor) -> dict[str, str]:
    """How often the grader says the same of both autoencoders' pictures of drawn latents."""
    before, after = (
        Judge()([x for part in latents.split(64) for x in (vae.decode(part).sample / 2 + 0.5).clamp(0, 1)])
        for vae in (old, new)
    )
    return {
        head: str(wilson(sum(map(eq, getattr(before, head), getattr(after, head))), len(latents)))
        for head in ("concepts", "styles", "backgrounds")
    }


if __name__ == "__main__":
    with one_line():
        main()
