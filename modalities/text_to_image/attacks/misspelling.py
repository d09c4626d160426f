"""Misspellings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import opened
from modalities.text_to_image.attacks._search.words import around
from redact_core import Adapter, Attempt, PlanRow

# Cyrillic letters that look like Latin ones
_ALIKE = {"a": "а", "c": "с", "e": "е", "i": "і", "o": "о", "p": "р", "s": "ѕ", "x": "х", "y": "у"}


class Misspelling(PromptAttack):
    """Misspells the subject: a slip of the finger, letters that look alike, or blanks within words.

    Args:
        kind: ``typo``, ``homoglyph`` or ``spacing``.
    """

    access, adaptive = "prompt", False

    def __init__(self, kind: Literal["typo", "homoglyph", "spacing"] = "typo"):
        self.kind = kind

    @property
    def name(self) -> str:
        return f"Misspelling ({self.kind})"

    @property
    def budget(self) -> str:
        return "1 prompt"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model
        vocabulary, rng = opened(base).vocabulary, random.Random(f"misspelling:{self.kind}:{seed}")
        found: list[Attempt] = []
        for row in rows:
            before, subject, after = around(row, vocabulary)
            found.append(Attempt(condition=f"{before}{misspelt(subject, self.kind, rng)}{after}", queries=1))
        return found


def misspelt(text: str, kind: str, rng: random.Random) -> str:
    """``text`` with one misspelling; never the text itself, unless it is a single letter.

    >>> misspelt("cat", "homoglyph", random.Random(0)) == "cat"
    False
    """
    places = [i for i in range(len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if kind == "homoglyph":
        places = [i for i, letter in enumerate(text) if letter in _ALIKE]
    if not places:
        return text + text[-1:]
    i = rng.choice(places)
    if kind == "homoglyph":
        return text[:i] + _ALIKE[text[i]] + text[i + 1 :]
    if kind == "spacing":
        return f"{text[: i + 1]} {text[i + 1 :]}"
    slips = [text[:i] + text[i + 1 :], text[: i + 1] + text[i] + text[i + 1 :]]
    if text[i] != text[i + 1]:
        slips.append(text[:i] + text[i + 1] + text[i] + text[i + 2 :])
    return rng.choice(slips)
