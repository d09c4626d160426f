"""What Stable Diffusion does below its text encoder: pictures from conditionings, and the denoiser's training loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from redact_core import Conditioning


@torch.inference_mode(mode=False)
def load_pipeline(
    kind: Any, folder: Path, variant: str | None = None, dtype: torch.dtype = torch.float32, **settings: Any
) -> Any:
    """The pipeline of class ``kind`` of a folder; parts that ``settings`` set to ``None`` are left out.

    Its weights are ordinary tensors even where it is loaded inside inference mode, so that they can be trained later.
    """
    pipeline = kind.from_pretrained(
        folder,
        variant=variant,
        dtype=dtype,
        use_safetensors=True,
        low_cpu_mem_usage=False,
        trust_remote_code=False,
        **settings,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    return pipeline


@torch.inference_mode(mode=False)
def moved(pipeline: Any, device: torch.device, dtype: torch.dtype | None = None) -> Any:
    """``pipeline`` itself, on ``device`` and, if one is given, in another number format."""
    return pipeline.to(device) if dtype is None else pipeline.to(device, dtype)


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn."""

    steps: int
    """Of denoising."""
    guidance: float
    """Scale of classifier-free guidance; 1 is none."""
    batch_size: int
    """Pictures drawn at a time."""
    height: int | None = None
    """In pixels; ``None`` is the model's own."""
    width: int | None = None
    """The same."""


def draw(
    pipeline: Any,
    conditioning: Conditioning,
    unconditional: Conditioning,
    seeds: Sequence[int],
    drawing: Drawing,
) -> list[Tensor]:
    """Pictures ``(3, height, width)`` in [0, 1], on the CPU.

    Args:
        pipeline: On the device of the conditionings.
        conditioning: One for each picture; ``hidden (pictures, length, dim)``, and ``pooled`` if the pipeline takes it.
        unconditional: One, that guidance leads away from.
        seeds: One for each picture.
        drawing: Steps, guidance and size.
    """
    samples: list[Tensor] = []
    kind, batch_size = pipeline.unet.dtype, drawing.batch_size
    height, width = drawing.height, drawing.width

    def cast(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.to(kind)

    conditioning, unconditional = (
        Conditioning(x.hidden.to(kind), x.mask, cast(x.pooled)) for x in (conditioning, unconditional)
    )
    for start in range(0, len(seeds), batch_size):
        part = conditioning[start : start + batch_size]
        pooled = (
            {}
            if part.pooled is None or unconditional.pooled is None
            else {
                "pooled_prompt_embeds": part.pooled,
                "negative_pooled_prompt_embeds": unconditional.pooled.expand_as(part.pooled),
            }
        )
        # drawn on the CPU one by one: a sample depends on its seed, not on batch or device
        generators = [torch.Generator().manual_seed(s) for s in seeds[start : start + batch_size]]
        # a half-precision pipeline would draw other numbers from the same seed
        latents = {} if kind == torch.float32 else {"latents": _noise(pipeline, generators, height, width)}
        result = pipeline(
            **latents,
            prompt_embeds=part.hidden,
            negative_prompt_embeds=unconditional.hidden.expand_as(part.hidden),
            **pooled,
            num_inference_steps=drawing.steps,
            guidance_scale=drawing.guidance,
            height=height,
            width=width,
            generator=generators,
            output_type="pt",
        )
        samples += list(result.images.float().cpu())
    return samples


def _noise(
    pipeline: Any, generators: Sequence[torch.Generator], height: int | None, width: int | None
) -> Tensor:
    """``(pictures, channels, height, width)`` what a float32 pipeline starts from, in this one's format."""
    unet, scale = pipeline.unet, pipeline.vae_scale_factor
    sides = [unet.config.sample_size if side is None else side // scale for side in (height, width)]
    drawn = [torch.randn(1, unet.config.in_channels, *sides, generator=g) for g in generators]
    return torch.cat(drawn).to(unet.device, unet.dtype)


def losses(
    pipeline: Any,
    predict: Callable[[Tensor, Tensor], Tensor],
    samples: Sequence[Tensor],
    seeds: Sequence[int],
    times: Sequence[int] | None,
) -> Tensor:
    """``(batch,)`` mean squared error of the denoiser at one time each (Ho et al. 2020, eq. 14).

    Args:
        pipeline: On the device that is computed on.
        predict: Latents with noise and their times -> what the denoiser says of them.
        samples: Pictures ``(3, height, width)`` in [0, 1].
        seeds: Of noise and times.
        times: In place of the times that the seeds draw.
    """
    latents, noise, noisy, when = noised(pipeline, samples, seeds, times)
    target = perfect(pipeline.scheduler, latents, noise, when)
    return (predict(noisy, when) - target).square().flatten(1).mean(1)


def perfect(scheduler: Any, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """What a perfect denoiser says: noise, velocity or sample, as the scheduler's ``prediction_type`` has it."""
    kind = scheduler.config.prediction_type
    return {"epsilon": lambda: noise, "sample": lambda: latents}.get(
        kind, lambda: scheduler.get_velocity(latents, noise, times)
    )()


@torch.no_grad()
def half_drawn(
    pipeline: Any,
    predict: Callable[[Tensor, Tensor, Conditioning], Tensor],
    conditioning: Conditioning,
    unconditional: Conditioning,
    drawing: Drawing,
    *,
    seeds: Sequence[int],
    stops: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Latents of drawings left after ``stops`` of the drawing's DDIM steps, and the times ``(drawings,)`` of the next step.

    Args:
        pipeline: On the device that is computed on.
        predict: The denoiser.
        conditioning: One conditioning for each drawing.
        unconditional: One, that guidance leads away from.
        drawing: Steps of a whole drawing, and guidance; its size is the model's own.
        seeds: Of the noise that drawings start from.
        stops: From 0 to one less than all steps.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    scheduler: Any = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(drawing.steps, device=conditioning.hidden.device)
    found: list[Tensor] = []
    guidance = drawing.guidance
    for start in range(0, len(seeds), drawing.batch_size):
        rows = slice(start, start + drawing.batch_size)
        own, ends = conditioning[rows], torch.tensor(list(stops[rows]))
        x = _noise(pipeline, [torch.Generator().manual_seed(s) for s in seeds[rows]], None, None)
        x = x * scheduler.init_noise_sigma
        for step, time in enumerate(scheduler.timesteps):
            going = (ends > step).nonzero().flatten().to(x.device)
            if not len(going):
                break
            part, told = x[going], own[going]
            when = time.expand(len(part))
            asked = predict(part, when, told)
            if guidance != 1:
                free = predict(part, when, unconditional[torch.zeros_like(going)])
                asked = free + guidance * (asked - free)
            x[going] = scheduler.step(asked, time, part).prev_sample
        found.append(x)
    return torch.cat(found), scheduler.timesteps[torch.tensor(list(stops), device=conditioning.hidden.device)]


@torch.no_grad()
def noised(
    pipeline: Any, samples: Sequence[Tensor], seeds: Sequence[int], times: Sequence[int] | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents, noise, latents with noise, each ``(batch, channels, height, width)``, and times ``(batch,)``.

    Arguments are those of :func:`losses`; all is on the pipeline's device.
    """
    device = pipeline.device
    distinct = {id(sample): sample for sample in samples}  # one may be asked for at many times
    order = {key: i for i, key in enumerate(distinct)}
    pictures = torch.stack(list(distinct.values())).to(device, pipeline.vae.dtype)
    found = pipeline.vae.encode(2 * pictures - 1).latent_dist.mode()
    latents = found[[order[id(sample)] for sample in samples]] * pipeline.vae.config.scaling_factor
    # drawn on the CPU one by one: a sample's loss depends on its seed, not on batch or device
    draws = [torch.Generator().manual_seed(s) for s in seeds]
    noise = torch.stack([torch.randn(latents.shape[1:], generator=g) for g in draws]).to(latents)
    last = pipeline.scheduler.config.num_train_timesteps
    drawn = torch.cat([torch.randint(last, (1,), generator=g) for g in draws])
    when = (drawn if times is None else torch.tensor(list(times))).to(device)
    return latents, noise, pipeline.scheduler.add_noise(latents, noise, when), when
