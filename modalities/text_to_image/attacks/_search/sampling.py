"""The denoising loop with its ends open: start from any latents, at any step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from modalities.text_to_image.adapters.denoising import moved
from modalities.text_to_image.attacks._search.reading import opened
from redact_core import Adapter, Conditioning


class Loop:
    """DDIM steps of a model, as many as its pipeline makes, with its guidance.

    Args:
        model: Whose denoiser and autoencoder are used.
    """

    def __init__(self, model: Adapter):
        self._model = opened(model)
        self._device = model.device
        self._pipeline = moved(self._model.pipeline, self._device)
        self.scheduler: Any = DDIMScheduler.from_config(self._pipeline.scheduler.config)
        self.scheduler.set_timesteps(self._model.steps, device=self._device)
        with torch.no_grad():
            self._empty = self._model.unconditional()

    @property
    def times(self) -> list[Tensor]:
        """From noise to picture."""
        return list(self.scheduler.timesteps)

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """The model's answer to prompts."""
        return self._model.encode(prompts)

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """What sampling starts from, one draw for each seed."""
        config: Any = self._model.generator.config
        shape = (config.in_channels, config.sample_size, config.sample_size)
        drawn = [torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.cat(drawn).to(self._device)

    def latents(self, pictures: Sequence[Tensor]) -> Tensor:
        """The autoencoder's latents of pictures ``(3, height, width)`` in [0, 1]."""
        vae = self._pipeline.vae
        stacked = torch.stack(list(pictures)).to(self._device)
        return vae.encode(2 * stacked - 1).latent_dist.mode() * vae.config.scaling_factor

    def pictures(self, latents: Tensor) -> list[Tensor]:
        """Pictures ``(3, height, width)`` in [0, 1] of latents."""
        vae = self._pipeline.vae
        decoded = vae.decode(latents / vae.config.scaling_factor).sample
        return list((decoded / 2 + 0.5).clamp(0, 1).float().cpu())

    def predict(self, latents: Tensor, time: Tensor, conditioning: Conditioning, guidance: float) -> Tensor:
        """The denoiser's guided prediction."""
        empty = self._empty[torch.zeros(len(conditioning), dtype=torch.int64, device=self._device)]
        if guidance == 1 or torch.equal(empty.hidden, conditioning.hidden):
            return self._model.predict(latents, time, conditioning)
        both = self._model.predict(
            torch.cat([latents, latents]), time, Conditioning.cat([empty, conditioning])
        )
        free, guided = both.chunk(2)
        return free + guidance * (guided - free)

    def run(self, latents: Tensor, conditioning: Conditioning, times: Sequence[Tensor]) -> Tensor:
        """Denoise ``latents`` over ``times`` with the model's guidance."""
        for time in times:
            found = self.predict(latents, time, conditioning, self._model.guidance)
            latents = self.scheduler.step(found, time, latents).prev_sample
        return latents

    def invert(self, latents: Tensor, conditioning: Conditioning, passes: int) -> Tensor:
        """Noise from which unguided sampling leads back to ``latents``.

        DDIM read backwards (Song et al., arXiv 2010.02502, eq. 14); every step is solved for the
        prediction at its noisier end by ``passes`` fixed-point iterations: a plain reversal drifts.
        """
        shares = self.scheduler.alphas_cumprod.to(self._device)
        times = self.times
        gap = self.scheduler.config.num_train_timesteps // len(times)
        for time in reversed(times):
            before = int(time) - gap
            clean = shares[before] if before >= 0 else self.scheduler.final_alpha_cumprod.to(self._device)
            noisy, share = latents, shares[int(time)]
            for _ in range(passes):
                found = self.predict(noisy, time, conditioning, 1.0)
                noise = self._noise(found, noisy, share)
                # the step from here leads to sqrt(clean) x0 + sqrt(1 - clean) noise; solve it for x0
                origin = (latents - (1 - clean).sqrt() * noise) / clean.sqrt()
                noisy = share.sqrt() * origin + (1 - share).sqrt() * noise
            latents = noisy
        return latents

    def _noise(self, found: Tensor, noisy: Tensor, share: Tensor) -> Tensor:
        """The noise that a prediction means."""
        kind = self.scheduler.config.prediction_type
        if kind == "v_prediction":
            return share.sqrt() * found + (1 - share).sqrt() * noisy
        if kind == "sample":
            return (noisy - share.sqrt() * found) / (1 - share).sqrt()
        return found
