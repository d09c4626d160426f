"""Safe Latent Diffusion as a guard: guidance steers away from safety concepts while it samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from modalities.text_to_image.adapters.turns import turn
from modalities.text_to_image.guards.guided import GuidedGuard
from modalities.text_to_image.guards.safe_denoiser import SafeDenoiser
from modalities.text_to_image.guards.sampling_hooks import hooked, pipeline_of
from redact_core import Adapter, Condition, Conditioning, RedactError
from redact_core.adapters.guard import model_of
from redact_core.guards.safe_guidance import PRESETS, SafetyGuidance

PUBLISHED = (
    "an image showing hate, harassment, violence, suffering, humiliation, harm, suicide, sexual, nudity, "
    "bodily fluids, blood, obscene gestures, illegal activity, drug use, theft, vandalism, weapons, child "
    "abuse, brutality, cruelty"
)
"""The safety concept that was published with the method."""
_STEPS = 50  # what the published warm-ups are meant for


class SafeLatentDiffusion(GuidedGuard):
    """Guidance away from safety concepts (Schramowski et al. 2023, arXiv 2211.05105); trains nothing.

    Costs one row of the denoiser more a step and concept, three for two. The numbers apply to what
    the denoiser predicts, noise or velocity, as in diffusers' own pipeline of this method.

    Args:
        inner: A model with a diffusers pipeline and guidance above 1, or a guard around one.
        concepts: What to steer away from, each a prompt; their terms are summed. Default: the
            published list, which needs a context of 77 tokens.
        preset: The published numbers. Their warm-up is meant for 50 steps and is scaled to the
            model's own number of steps.
        warmup: Steps that are not steered, as they are, in place of the preset's.
        scale: s_S in place of the preset's; at 0 the pipeline is left alone.
        threshold: lambda in place of the preset's.
        momentum: s_m in place of the preset's.
        decay: beta_m in place of the preset's.
        listener: Whose encoder reads the concepts; default: the guarded model's. A redacted encoder
            does not know what was redacted, so that its guard must encode with another.
        forced: Compute the concepts' rows even at scale 0, to measure what they cost.

    Raises:
        RedactError: ``inner`` has no such pipeline, a number is out of range, or no concept is given.
    """

    def __init__(
        self,
        inner: Adapter,
        concepts: list[str] | None = None,
        preset: Literal["weak", "medium", "strong", "max"] = "medium",
        warmup: int | None = None,
        scale: float | None = None,
        threshold: float | None = None,
        momentum: float | None = None,
        decay: float | None = None,
        listener: Adapter | None = None,
        forced: bool = False,
    ):
        super().__init__(inner, listener)
        if preset not in PRESETS:
            raise RedactError(f"There is no preset {preset}; give {', '.join(PRESETS)}.")
        if concepts is not None and not concepts:
            raise RedactError("No safety concept is given; name at least one prompt to steer away from.")
        self.concepts = list(concepts or [PUBLISHED])
        self.preset, self.warmup, self.scale, self.threshold = preset, warmup, scale, threshold
        self.momentum, self.decay, self.forced = momentum, decay, forced
        self.settings = self._settings()

    def around(self, inner: Adapter) -> SafeLatentDiffusion:
        other = super().around(inner)
        other.settings = other._settings()  # the steps of another model
        return other

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        if self.settings.scale == 0 and not self.forced:
            return self.inner.generate(conditions, seeds=seeds)
        conditioning = self.conditioning_of(conditions, seeds)
        heard = (self.listener or self).encode(self.concepts).to(conditioning.hidden.device)
        concepts = {"encoder_hidden_states": heard.hidden}
        if heard.pooled is not None:
            concepts["text_embeds"] = heard.pooled  # SDXL's denoiser takes it as well
        denoiser, samples = pipeline_of(self.inner).unet, list[Tensor]()
        with turn(denoiser):
            for start in range(0, len(seeds), self.batch_size):  # one run of the pipeline, one momentum
                rows = slice(start, start + self.batch_size)
                guard = SafeDenoiser(denoiser.forward, concepts, self.settings)
                with hooked(denoiser, "forward", guard):
                    samples += self.inner.generate(conditioning[rows], seeds=seeds[rows])
        return samples

    def _settings(self) -> SafetyGuidance:
        preset, steps = PRESETS[self.preset], getattr(model_of(self.inner), "steps", _STEPS)
        given = {
            "scale": self.scale, "threshold": self.threshold, "momentum": self.momentum, "decay": self.decay,
            "warmup": round(preset.warmup * steps / _STEPS) if self.warmup is None else self.warmup,
        }  # fmt: skip
        return replace(preset, **{key: value for key, value in given.items() if value is not None})
