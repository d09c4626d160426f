"""A detector of prompts that mean a concept, by their conditioning."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from redact_core import Adapter, Conditioning


@dataclass(frozen=True)
class ConceptGate:
    """``max_j cos(E(prompt), E(concept_j)) > threshold``, with E the mean over positions.

    The empty prompt's answer, which all prompts share, is subtracted first. A prompt that the
    encoder does not place near a concept passes: calibrate the threshold on prompts of your own.
    """

    concepts: list[str]
    """Prompts that mean what shall be found."""
    threshold: float
    """In [-1, 1]."""

    @torch.no_grad()
    def __call__(self, adapter: Adapter, conditioning: Conditioning) -> Tensor:
        """``(batch,)`` bool."""
        return self.score(adapter, conditioning) > self.threshold

    @torch.no_grad()
    def score(self, adapter: Adapter, conditioning: Conditioning) -> Tensor:
        """``(batch,)`` the greatest cosine."""
        known = adapter.encode(["", *self.concepts]).hidden.mean(1)
        heard = conditioning.hidden.mean(1) - known[:1]
        return torch.cosine_similarity(heard[:, None], (known[1:] - known[:1])[None], dim=2).amax(1)
