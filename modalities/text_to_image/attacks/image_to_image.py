"""Image to image, without a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.sampling import Loop
from modalities.text_to_image.attacks._search.token_search import base_pictures
from redact_core import Adapter, Attempt, PlanRow, RedactError

_OTHER_SEEDS = 1_000_000


class ImageToImage(PromptAttack):
    """Adds noise to a picture of what was redacted and lets the model remove it under the empty prompt.

    Meng et al., "SDEdit" (arXiv 2108.01073). The picture is the base's, with another seed. A redaction
    of the text encoder has no say in this; a low strength shows the picture that was put in.

    Args:
        strength: Share of the steps that are made, above 0 and up to 1.
    """

    access, adaptive = "sample", False

    def __init__(self, strength: float = 0.5):
        if not 0 < strength <= 1:
            raise RedactError(f"strength is {strength}; give a share above 0 and up to 1.")
        self.strength = strength

    @property
    def name(self) -> str:
        return f"ImageToImage-{self.strength:g}"

    @property
    def budget(self) -> str:
        return "1 picture of the base, the empty prompt"

    @torch.no_grad()
    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del seed
        loop = Loop(model)
        clean = loop.latents(base_pictures(base, rows, _OTHER_SEEDS))
        times = loop.times[len(loop.times) - max(1, round(self.strength * len(loop.times))) :]
        noise = loop.noise([row.seed for row in rows])
        start = loop.scheduler.add_noise(clean, noise, times[0].expand(len(rows)))
        empty = loop.encode([""] * len(rows))
        return [Attempt(sample=p, queries=1) for p in loop.pictures(loop.run(start, empty, times))]
