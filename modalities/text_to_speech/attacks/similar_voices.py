"""People who sound alike: a retained voice as a bridge to the redacted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from modalities.text_to_speech.attacks.voice_attack import VoiceAttack
from modalities.text_to_speech.attacks.voices import cloner, others, prototypes, targets
from redact_core import Access, Adapter, Attempt, PlanRow, RedactError


class SimilarVoices(VoiceAttack):
    """Clips of the retained voices that the base's encoder places nearest to the row's.

    Args:
        voices: How many of the nearest ones the rows take in turn.

    Raises:
        RedactError: ``voices`` is below 1.
    """

    access: ClassVar[Access] = "prompt"
    adaptive = False

    def __init__(self, voices: int = 3):
        if voices < 1:
            raise RedactError(f"voices is {voices}; give at least 1.")
        self.voices = voices

    @property
    def name(self) -> str:
        return f"SimilarVoices-{self.voices}"

    @property
    def budget(self) -> str:
        return f"1 clip of the {self.voices} nearest voices"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model, seed
        names = others(base, rows)
        order = (targets(base, rows) @ prototypes(base, names).T).argsort(1, descending=True)
        found: list[Attempt] = []
        for i, near in enumerate(order[:, : self.voices].tolist()):
            clips = cloner(base).bank.clips(names[near[i % len(near)]])
            found.append(Attempt(condition=clips[i // len(near) % len(clips)], queries=1))
        return found
