"""A negative prompt: guidance leads away from concepts in place of the empty prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_image.adapters.turns import turn
from modalities.text_to_image.guards.guided import GuidedGuard
from modalities.text_to_image.guards.sampling_hooks import hooked, pipeline_of
from redact_core import Adapter, Condition, Conditioning, RedactError
from redact_core.adapters.guard import model_of


class NegativePrompt(GuidedGuard):
    """What users of diffusers write into ``negative_prompt``: ``e = e_negative + g (e_prompt - e_negative)``; trains nothing.

    The remedy that comes with every pipeline (Ho & Salimans 2022, arXiv 2207.12598, with a prompt in place of nothing).
    It costs nothing: the row of the empty prompt is computed anyhow.

    Known traps: it steers prompts that have nothing to do with the concept, too. It acts at guidance above 1 only. A
    redacted encoder does not know the concept, so a guard around a redacted model needs ``listener``.

    Args:
        inner: A model with a diffusers pipeline and guidance above 1, or a guard around one.
        concepts: What to lead away from; joined by commas to one prompt.
        listener: Whose encoder reads them; default: the guarded model's.

    Raises:
        RedactError: ``inner`` has no such pipeline, or no concept is given.
    """

    def __init__(self, inner: Adapter, concepts: list[str], listener: Adapter | None = None):
        super().__init__(inner, listener)
        if not concepts:
            raise RedactError("No concept is given; name at least one to lead away from.")
        self.concepts = list(concepts)

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        away = (self.listener or self).encode([", ".join(self.concepts)]).to(self.device)
        with (
            turn(pipeline_of(self.inner).unet),
            hooked(model_of(self.inner), "unconditional", lambda: away),
        ):
            return self.inner.generate(conditions, seeds=seeds)
