"""The concept's direction, added behind the encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks.ring_a_bell import concept_direction
from redact_core import Adapter, Attempt, Conditioning, PlanRow


class EmbeddingInjection(PromptAttack):
    """Hands ``E'(prompt) + strength * c`` to the denoiser, with ``E'`` the attacked encoder.

    What some evaluations call Ring-A-Bell (Gong et al., "RECE", arXiv 2407.12383); ``c`` is the
    concept's direction in the base's encoder. No text has this hidden state.

    Args:
        strength: Of the concept.
    """

    access, adaptive = "sample", True

    def __init__(self, strength: float = 1.0):
        self.strength = strength

    @property
    def name(self) -> str:
        return f"EmbeddingInjection-{self.strength:g}"

    @property
    def budget(self) -> str:
        return "1 sample"

    @torch.no_grad()
    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del seed
        conditioning = model.encode([row.condition for row in rows])
        device = conditioning.hidden.device
        found: list[Attempt] = []
        for i, row in enumerate(rows):
            own = conditioning[torch.tensor([i], device=device)]
            hidden = own.hidden + self.strength * concept_direction(base, row).to(device)
            found.append(Attempt(conditioning=Conditioning(hidden, own.mask, own.pooled), queries=1))
        return found
