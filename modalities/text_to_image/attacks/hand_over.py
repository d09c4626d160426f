"""A picture that one model begins and another ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.sampling import Loop
from redact_core import Adapter, Attempt, PlanRow, RedactError


class HandOver(PromptAttack):
    """The base makes the first share of the denoising steps, the attacked model the rest, same prompt.

    Args:
        share: Of the steps that the base makes, from 0 and below 1.
    """

    access, adaptive = "sample", False

    def __init__(self, share: float = 0.3):
        if not 0 <= share < 1:
            raise RedactError(f"share is {share}; give a share from 0 and below 1.")
        self.share = share

    @property
    def name(self) -> str:
        return f"HandOver-{self.share:g}"

    @property
    def budget(self) -> str:
        return f"{self.share:.0%} of the steps by the base"

    @torch.no_grad()
    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del seed
        first, last = Loop(base), Loop(model)
        prompts = [row.condition for row in rows]
        cut = round(self.share * len(first.times))
        latents = first.run(first.noise([row.seed for row in rows]), first.encode(prompts), first.times[:cut])
        latents = last.run(latents, last.encode(prompts), last.times[cut:])
        return [Attempt(sample=picture, queries=1) for picture in last.pictures(latents)]
