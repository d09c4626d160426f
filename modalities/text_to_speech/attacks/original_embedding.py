"""The base's embedding handed straight to the generator: what no change of the encoder can prevent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from modalities.text_to_speech.attacks.voice_attack import VoiceAttack
from modalities.text_to_speech.attacks.voices import encode
from redact_core import Access, Adapter, Attempt, PlanRow


class OriginalEmbedding(VoiceAttack):
    """Goes around the redacted encoder with the public one's answer to the row's own clip."""

    access: ClassVar[Access] = "sample"
    adaptive = False

    @property
    def budget(self) -> str:
        return "1 embedding"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model, seed
        conditioning = encode(base, [row.condition for row in rows])
        return [Attempt(conditioning=conditioning[torch.tensor([i])], queries=1) for i in range(len(rows))]
