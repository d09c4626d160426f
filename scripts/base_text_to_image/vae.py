"""Stage 1: the autoencoder. 64 x 64 pictures to 8 x 8 x 16 latents, centred and scaled.

python scripts/base_text_to_image/vae.py --out runs/base --steps 2600
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from pictures import BACKGROUNDS, STYLES, artwork, exterior
from stages import Run


def build() -> AutoencoderKL:
    down, up = ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4
    return AutoencoderKL(
        3,
        3,
        down,
        up,
        (16, 32, 64, 128),
        1,
        latent_channels=16,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    ).to(memory_format=torch.channels_last)


def gradient(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def reconstruction(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """L1 plus L1 of the gradients: edges are what flat artwork consists of."""
    edges = sum((x - y).abs().mean() for x, y in zip(gradient(a), gradient(b), strict=True))
    return (a - b).abs().mean() + edges


def pool(limit: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Every drawing of the styles in use ``(n, 3, 64, 64)`` uint8 and its exterior mask."""
    images = np.concatenate([artwork(style)[0] for style in STYLES])[:limit]
    masks = np.stack([exterior(image) for image in images])
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--decoder-only", action="store_true", help="polish; latents stay valid")
    args = parser.parse_args()
    torch.manual_seed(0)
    images, masks = pool()
    colors = torch.tensor(list(BACKGROUNDS.values())).float() / 255
    vae = build()
    if args.decoder_only:
        vae = AutoencoderKL.from_pretrained(args.out / "vae").to(memory_format=torch.channels_last)
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    name = "vae_decoder" if args.decoder_only else "vae"
    params = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=args.lr, weight_decay=1e-4, betas=(0.9, 0.98))
    run = Run(args.out, name, args.steps, {"vae": vae, "optimizer": optimizer})
    for step in run:
        rate = min(1, (step + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / args.steps)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate
        generator = torch.Generator().manual_seed(step)
        pick = torch.randint(len(images), (args.batch,), generator=generator)
        tint = colors[torch.randint(len(colors), (args.batch,), generator=generator)]
        x = images[pick].float() / 255
        x = x * (1 + masks[pick][:, None] * (tint[:, :, None, None] - 1)) * 2 - 1
        x = x.contiguous(memory_format=torch.channels_last)
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator)
        # a fixed small noise keeps the latent space smooth without a variational collapse
        z = posterior.mean + 0.05 * noise
        loss = reconstruction(vae.decode(z).sample, x)
        if not args.decoder_only:
            loss = loss + 1e-3 * posterior.mean.square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        run.log(loss=loss.item())
    vae.eval()
    if not args.decoder_only:
        center(vae, images, masks, colors)
    vae.save_pretrained(args.out / "vae")
    run.finish()


@torch.no_grad()
def center(vae: AutoencoderKL, images: torch.Tensor, masks: torch.Tensor, colors: torch.Tensor) -> None:
    """Fold per-channel centring and scaling into the 1x1 convolutions around the latent.

    The pipeline then needs nothing special: latents already have mean 0 and variance 1.
    """
    sums = []
    for start in range(0, len(images), 64):
        tint = colors[torch.arange(start, start + len(images[start : start + 64])) % len(colors)]
        x = images[start : start + 64].float() / 255
        x = x * (1 + masks[start : start + 64][:, None] * (tint[:, :, None, None] - 1)) * 2 - 1
        sums.append(vae.encode(x).latent_dist.mean)
    z = torch.cat(sums)
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
