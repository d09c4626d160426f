"""Stage 4: the denoiser, in the latent space of stage 1, listening to the text tower of stage 2.

    python scripts/recipes/text_to_image/unet.py --out runs/base --steps 4000

Latents and text features are computed once: neither the autoencoder nor the text tower runs in
the loop. Prediction type v, cosine noise schedule, exponential moving average.
"""

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from captions import LENGTH, Captioner
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from pictures import rows, shrink
from transformers import CLIPTextModel, CLIPTokenizer

from scripts.experiments.stages import Run, set_rate


def build() -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=8, out_channels=8, layers_per_block=1, block_out_channels=(104, 208),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=192, attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip
    unet.set_attn_processor(AttnProcessor2_0())
    return unet.to(memory_format=torch.channels_last)


def scheduler() -> DDIMScheduler:
    # clip_sample: latents are not in [-1, 1]; the default would silently turn samples to noise
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False,
        timestep_spacing="trailing", steps_offset=1,
    )  # fmt: skip


class Average:
    """Exponential moving average of the parameters, with the usual warm-up."""

    def __init__(self, model: torch.nn.Module, decay: float):
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.decay = decay

    @torch.no_grad()
    def update(self, model: torch.nn.Module, step: int) -> None:
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            self.values[key].lerp_(value, weight)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self.values

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.values = {k: v.clone() for k, v in state.items()}


@torch.no_grad()
def encode_pictures(folder: Path, images: torch.Tensor) -> torch.Tensor:
    vae = AutoencoderKL.from_pretrained(folder).eval().to(memory_format=torch.channels_last)
    return torch.cat(
        [vae.encode(shrink(part.float() / 127.5 - 1)).latent_dist.mean for part in images.split(128)]
    )


@torch.no_grad()
def encode_captions(folder: Path, captions: list[str]) -> torch.Tensor:
    """Hidden states ``(captions, LENGTH, dim)`` in bfloat16, as the pipeline computes them."""
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tower = CLIPTextModel.from_pretrained(folder).eval()
    out = []
    for start in range(0, len(captions), 256):
        part = captions[start : start + 256]
        ids = tokenizer(
            part, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        ).input_ids
        out.append(tower(ids).last_hidden_state.to(torch.bfloat16))
    return torch.cat(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--captions", type=int, default=8, help="captions kept for each picture")
    parser.add_argument("--init", type=Path, help="checkpoint of an earlier stage to start from")
    parser.add_argument("--shift", type=float, default=1.5, help="time steps: 1 for uniform")
    parser.add_argument("--ema", type=float, default=0.998)
    args = parser.parse_args()
    torch.manual_seed(0)
    data = [row for row in rows() if not row["held"]]
    latents = encode_pictures(
        args.out / "vae", torch.from_numpy(np.stack([r["image"] for r in data])).permute(0, 3, 1, 2)
    )
    captioner, rng = Captioner("both"), random.Random(0)
    captions = [
        captioner(r["concept"], r["style"], r["background"], rng).text
        for r in data
        for _ in range(args.captions)
    ]
    hidden = encode_captions(args.out / "clip", captions)
    empty = encode_captions(args.out / "clip", [""])[0].float()
    unet = build()
    if args.init:
        unet.load_state_dict(torch.load(args.init, weights_only=True)["unet"])
    average = Average(unet, args.ema)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=args.lr, weight_decay=1e-3, betas=(0.9, 0.99))
    alphas = scheduler().alphas_cumprod
    run = Run(args.out, "unet", args.steps, {"unet": unet, "average": average, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 150)
        generator = torch.Generator().manual_seed(step)
        pick = torch.randint(len(latents), (args.batch,), generator=generator)
        caption = pick * args.captions + torch.randint(args.captions, (args.batch,), generator=generator)
        text = hidden[caption].float()
        text[torch.rand(args.batch, generator=generator) < 0.1] = empty  # for classifier-free guidance
        # one time step from each of `batch` equal strata: the same law, less variance; shifted
        # towards noise, where it is decided what a picture shows (Esser et al. 2024, section 5.3.2)
        u = (torch.arange(args.batch) + torch.rand(args.batch, generator=generator)) / args.batch
        t = (args.shift * u / (1 + (args.shift - 1) * u) * 1000).long().clamp(max=999)
        alpha = alphas[t][:, None, None, None]
        x, noise = latents[pick], torch.randn(args.batch, *latents.shape[1:], generator=generator)
        noisy = (alpha.sqrt() * x + (1 - alpha).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * x
        loss = (unet(noisy, t, text).sample - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        average.update(unet, step)
        run.log(loss=loss.item())
    unet.load_state_dict(average.values)
    unet.eval().save_pretrained(args.out / "unet")
    run.finish()


if __name__ == "__main__":
    main()
