"""Misspellings."""

from __future__ import annotations

import random
from collections.abc import Sequence

from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import opened
from modalities.text_to_image.attacks._search.words import around
from modalities.text_to_image.prompts.misspellings import Slip, misspelt
from redact_core import Adapter, Attempt, PlanRow, RedactError


class Misspelling(PromptAttack):
    """Misspells the subject: a slip of the finger, a wrong key, letters that look alike, or blanks within words.

    Args:
        kind: ``typo``, ``key``, ``homoglyph`` or ``spacing``.
        slips: How many in one prompt.

    Raises:
        RedactError: ``slips`` is below 1.
    """

    access, adaptive = "prompt", False

    def __init__(self, kind: Slip = "typo", slips: int = 1):
        if slips < 1:
            raise RedactError(f"slips is {slips}; give at least 1.")
        self.kind: Slip = kind
        self.slips = slips

    @property
    def name(self) -> str:
        return f"Misspelling ({self.kind}{f', {self.slips} slips' if self.slips > 1 else ''})"

    @property
    def budget(self) -> str:
        return "1 prompt"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model
        vocabulary, rng = opened(base).vocabulary, random.Random(f"misspelling:{self.kind}:{seed}")
        found: list[Attempt] = []
        for row in rows:
            before, subject, after = around(row, vocabulary)
            found.append(
                Attempt(
                    condition=f"{before}{misspelt(subject, self.kind, rng, self.slips)}{after}", queries=1
                )
            )
        return found
