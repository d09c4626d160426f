"""A class-conditional diffusion model: diffusers' ``UNet2DModel``, its class embedding taken out as rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from modalities.class_to_image.networks import SIDE, RowGenerator
from modalities.whole_models import whole


class Ddpm(RowGenerator):
    """Ho et al. 2020, sampled by DDIM without noise (Song et al. 2021); the class comes as a vector.

    The network works on patches of ``p x p`` pixels as channels, where ``p * p`` is its number of
    input channels: one core can train it so.

    Args:
        unet: With a class embedding, which is taken away from it.
        scheduler: Of training and of sampling.
        steps: Denoising steps.
    """

    def __init__(self, unet: UNet2DModel, scheduler: DDIMScheduler, steps: int = 10):
        super().__init__()
        parts: Any = unet
        self.places = {"embedding": parts.class_embedding.embedding_dim}
        parts.class_embedding = nn.Identity()
        self.unet, self.scheduler, self.steps = unet, scheduler, steps
        self.patch = round(parts.config.in_channels**0.5)
        self.noise_shape = (1, SIDE, SIDE)
        times: Any = scheduler
        self.time_steps = times.config.num_train_timesteps

    def predict(self, noisy: Tensor, times: Tensor, rows: Tensor) -> Tensor:
        """What the scheduler's ``prediction_type`` says, of ``noisy (batch, 1, 28, 28)``."""
        network: Any = self.unet
        patches = F.pixel_unshuffle(noisy, self.patch)
        return F.pixel_shuffle(network(patches, times, class_labels=rows).sample, self.patch)

    def draw(self, rows: Tensor, noise: Tensor) -> Tensor:
        """``(batch, 1, 28, 28)`` in [0, 1] from ``noise (batch, 1, 28, 28)``."""
        scheduler: Any = self.scheduler
        scheduler.set_timesteps(self.steps, device=rows.device)
        x = noise
        for time in scheduler.timesteps:
            found = self.predict(x, time.expand(len(x)), rows)
            x = scheduler.step(found, time, x).prev_sample
        return ((x + 1) / 2).clamp(0, 1)

    def loss(self, pictures: Tensor, rows: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """``(batch,)`` squared error summed over pixels, at one time each (Ho et al. 2020, eq. 14).

        Of the velocity where the scheduler says so (Salimans & Ho 2022), else of the noise.

        Args:
            pictures: ``(batch, 1, 28, 28)`` in [0, 1].
            rows: ``(batch, dim)``.
            noise: ``(batch, 1, 28, 28)`` standard normal.
            times: ``(batch,)`` from 0 to ``time_steps - 1``.
        """
        scheduler: Any = self.scheduler
        x = 2 * pictures - 1
        kind = scheduler.config.prediction_type
        target = scheduler.get_velocity(x, noise, times) if kind == "v_prediction" else noise
        found = self.predict(scheduler.add_noise(x, noise, times), times, rows)
        return (found - target).square().flatten(1).sum(1)


def build(classes: int, widths: tuple[int, ...] = (24, 32), groups: int = 8) -> Ddpm:
    """An untrained model for patches of 2 x 2 pixels, with the cosine schedule and velocities."""
    parts = len(widths)
    unet = UNet2DModel(
        sample_size=SIDE // 2, in_channels=4, out_channels=4, block_out_channels=widths, layers_per_block=1,
        norm_num_groups=groups, down_block_types=("DownBlock2D",) * parts,
        up_block_types=("UpBlock2D",) * parts, attention_head_dim=widths[-1] // 2, num_class_embeds=classes,
    )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing"
    )
    return Ddpm(unet, scheduler)


def read(folder: Path) -> tuple[Any, DDIMScheduler]:
    """The network (float32) and the scheduler of a folder; whatever diffusers raises.

    Raises:
        ValueError: The network knows no numbered classes, or is not for grey pictures in patches.
    """
    unet: Any = whole(
        UNet2DModel, folder / "unet", use_safetensors=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
    )
    if not isinstance(unet.class_embedding, nn.Embedding):
        raise ValueError("its UNet2DModel knows no numbered classes")
    if math.isqrt(unet.config.in_channels) ** 2 != unet.config.in_channels:
        raise ValueError(f"its UNet2DModel takes {unet.config.in_channels} channels, which are no patch")
    scheduler: Any = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    return unet, scheduler
