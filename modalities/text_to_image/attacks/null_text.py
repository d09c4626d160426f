"""Inversion without a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.sampling import Loop
from modalities.text_to_image.attacks._search.token_search import base_pictures
from redact_core import Adapter, Attempt, PlanRow

_OTHER_SEEDS = 1_000_000


class NullText(PromptAttack):
    """Finds the noise from which the model draws a picture of what was redacted, under the empty prompt.

    Text-free inversion in the manner of TINA (Xu et al., arXiv 2403.07554): DDIM backwards through the
    attacked denoiser, every step solved by fixed-point iteration where the paper takes gradient steps.

    Args:
        passes: Of the denoiser at each step.
    """

    access, adaptive = "sample", True

    def __init__(self, passes: int = 20):
        self.passes = passes

    @property
    def budget(self) -> str:
        return f"1 picture of the base, {self.passes} passes a step"

    @torch.no_grad()
    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del seed
        loop = Loop(model)
        empty = loop.encode([""] * len(rows))
        noise = loop.invert(loop.latents(base_pictures(base, rows, _OTHER_SEEDS)), empty, self.passes)
        made = loop.pictures(loop.run(noise, empty, loop.times))
        return [Attempt(sample=picture, queries=self.passes * len(loop.times)) for picture in made]
