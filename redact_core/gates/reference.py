"""Who answers in the place of a redacted voice: one stranger, who is no more like it than strangers are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

QUANTILE = 0.2
"""Of strangers by their likeness to the voice. The least alike would stand out; the mean of many is like everybody."""


def choose_reference(voice: Tensor, kept: Tensor, candidates: Sequence[int]) -> int:
    """The candidate at the quantile :data:`QUANTILE` of everybody's likeness to the voice, or just below.

    Args:
        voice: ``(dim,)`` mean embedding of the redacted voice.
        kept: ``(voices, dim)`` those of the voices that stay; likeness is the plain cosine.
        candidates: Rows of ``kept`` that may answer.
    """
    likeness = torch.cosine_similarity(kept, voice[None], dim=1)
    pool = torch.tensor(list(candidates))
    found = likeness[pool]
    below = found <= likeness.quantile(QUANTILE)
    if below.any():
        pool, found = pool[below], found[below]
        return int(pool[found.argmax()])
    return int(pool[found.argmin()])
