"""Stage 1: the autoencoder. 32 x 32 pictures to 8 x 8 x 8 latents, centred and scaled.

python scripts/recipes/text_to_image/vae.py --out runs/base --steps 2400
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from pictures import BACKGROUNDS, SIZE, STYLES, artwork, concepts, exterior, shrink

from scripts.experiments.stages import Run, set_rate

NAMED = 0.7


def build() -> AutoencoderKL:
    down, up = ("DownEncoderBlock2D",) * 3, ("UpDecoderBlock2D",) * 3
    return AutoencoderKL(
        3,
        3,
        down,
        up,
        (32, 64, 96),
        1,
        latent_channels=8,
        norm_num_groups=8,
        sample_size=SIZE,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    ).to(memory_format=torch.channels_last)


def gradient(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def reconstruction(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """L1 plus L1 of the gradients: edges are what flat artwork consists of."""
    edges = sum((x - y).abs().mean() for x, y in zip(gradient(a), gradient(b), strict=True))
    return (a - b).abs().mean() + edges


def pool() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Every drawing of the styles in use ``(n, 3, 64, 64)`` uint8, its exterior mask, its share.

    The named concepts are shown ``NAMED`` of the time: they are what the pipeline draws.
    """
    images, share = [], []
    for style in STYLES:
        drawings, index = artwork(style)
        named = np.zeros(len(drawings), bool)
        named[[index[entry["codepoint"]] for entry in concepts().values()]] = True
        images.append(drawings)
        share.append(np.where(named, NAMED / named.sum(), (1 - NAMED) / (~named).sum()))
    masks = np.stack([exterior(image) for part in images for image in part])
    stacked = torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2)
    return stacked, torch.from_numpy(masks).float(), torch.from_numpy(np.concatenate(share))


def tinted(images: torch.Tensor, masks: torch.Tensor, tint: torch.Tensor) -> torch.Tensor:
    """Drawings on flat colours, ``(n, 3, 64, 64)`` in [0, 1]."""
    return images.float() / 255 * (1 + masks[:, None] * (tint[:, :, None, None] - 1))


def compose(images: torch.Tensor, masks: torch.Tensor, tint: torch.Tensor) -> torch.Tensor:
    """Drawings on flat colours, ``(n, 3, SIZE, SIZE)`` in [-1, 1]."""
    x = shrink(tinted(images, masks, tint))
    return (x * 2 - 1).contiguous(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    images, masks, share = pool()
    colors = torch.tensor(list(BACKGROUNDS.values())).float() / 255
    vae = build()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=args.lr, weight_decay=1e-4, betas=(0.9, 0.98))
    run = Run(args.out, "vae", args.steps, {"vae": vae, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        generator = torch.Generator().manual_seed(step)
        pick = torch.multinomial(share, args.batch, replacement=True, generator=generator)
        tint = colors[torch.randint(len(colors), (args.batch,), generator=generator)]
        x = compose(images[pick], masks[pick], tint)
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator)
        # a fixed small noise keeps the latent space smooth without a variational collapse
        z = posterior.mean + 0.05 * noise
        loss = reconstruction(vae.decode(z).sample, x) + 1e-4 * posterior.mean.square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        run.log(loss=loss.item())
    vae.eval()
    center(vae, images, masks, colors)
    vae.save_pretrained(args.out / "vae")
    run.finish()


@torch.no_grad()
def center(vae: AutoencoderKL, images: torch.Tensor, masks: torch.Tensor, colors: torch.Tensor) -> None:
    """Fold per-channel centring and scaling into the 1x1 convolutions around the latent.

    The pipeline then needs nothing special: latents already have mean 0 and variance 1.
    """
    tint = colors[torch.arange(len(images)) % len(colors)]
    parts = zip(images.split(64), masks.split(64), tint.split(64), strict=True)
    z = torch.cat([vae.encode(compose(*part)).latent_dist.mean for part in parts])
    mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
    quant, post = vae.quant_conv, vae.post_quant_conv
    n = len(mean)
    quant.weight[:n] /= std[:, None, None, None]
    quant.bias[:n] = (quant.bias[:n] - mean) / std
    quant.weight[n:] = 0  # log-variance: a constant, tiny posterior
    quant.bias[n:] = -12.0
    post.bias += (post.weight[:, :, 0, 0] * mean).sum(1)
    post.weight *= std[None, :, None, None]


if __name__ == "__main__":
    main()
