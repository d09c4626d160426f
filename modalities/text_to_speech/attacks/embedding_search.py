"""Random search for the embedding that lets the generator speak in the redacted voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalities.sound.clips import RATE, fit_length
from modalities.text_to_speech.attacks.voice_attack import VoiceAttack
from modalities.text_to_speech.attacks.voices import (
    as_conditioning,
    cloner,
    embed,
    encode,
    others,
    prototypes,
    targets,
)
from redact_core import Access, Adapter, Attempt, Conditioning, PlanRow, RedactError


class EmbeddingSearch(VoiceAttack):
    """A (1 + population) evolution strategy that starts from the attacked encoder's own answer.

    Each step goes from the best embedding in random directions between voices of the bank, lets the
    generator speak, and keeps what the base's encoder places nearest to the row's voice. No
    gradient and no weight is looked at; the base's encoder is the attacker's ear.

    Args:
        steps: Of the search.
        population: Samples of a step.
        width: Length of a step at first, where embeddings have length 1; it halves when nothing
            better is found.

    Raises:
        RedactError: A setting is out of range.
    """

    access: ClassVar[Access] = "sample"
    adaptive = True

    def __init__(self, steps: int = 6, population: int = 4, width: float = 0.7):
        for name, value in (("steps", steps), ("population", population)):
            if value < 1:
                raise RedactError(f"{name} is {value}; give at least 1.")
        if width <= 0:
            raise RedactError(f"width is {width}; give a length above 0.")
        self.steps, self.population, self.width = steps, population, width

    @property
    def name(self) -> str:
        return f"EmbeddingSearch-{1 + self.steps * self.population}"

    @property
    def budget(self) -> str:
        return f"{1 + self.steps * self.population} samples"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        """``losses`` are 1 - cosine of the best sample so far to the row's voice."""
        generator = torch.Generator().manual_seed(seed)
        wanted = targets(base, rows)
        gallery = prototypes(model, others(base, rows))
        spread = gallery - gallery.mean(0)
        best = normalize(encode(model, [row.condition for row in rows]).hidden[:, 0], dim=1)
        least = self._judge(model, base, best[:, None], wanted, rows)[:, 0]
        width = torch.full((len(rows),), self.width).to(best)
        losses = [least]
        for _ in range(self.steps):
            draws = torch.randn(len(rows), self.population, len(gallery), generator=generator).to(best)
            ways = normalize(draws @ spread, dim=2) * width[:, None, None]
            tried = normalize(best[:, None] + ways, dim=2)
            found, which = self._judge(model, base, tried, wanted, rows).min(1)
            better = found < least
            best = torch.where(better[:, None], tried[torch.arange(len(rows)), which], best)
            least, width = torch.where(better, found, least), torch.where(better, width, width / 2)
            losses.append(least)
        curves, spent = torch.stack(losses, 1).tolist(), 1 + self.steps * self.population
        return [
            Attempt(conditioning=as_conditioning(voice), queries=spent, losses=tuple(curve))
            for voice, curve in zip(best, curves, strict=True)
        ]

    def _judge(
        self, model: Adapter, base: Adapter, voices: Tensor, wanted: Tensor, rows: Sequence[PlanRow]
    ) -> Tensor:
        """``(rows, tried)`` 1 - cosine of the samples of ``voices (rows, tried, dim)``."""
        count, tried, _ = voices.shape
        flat = voices.flatten(0, 1)[:, None]
        conditioning = Conditioning(flat, torch.ones(flat.shape[:2], dtype=torch.bool, device=flat.device))
        samples = model.generate(conditioning, seeds=[row.seed for row in rows for _ in range(tried)])
        length = int(cloner(base).seconds * RATE)
        with torch.no_grad():
            waves = [fit_length(wave if len(wave) else torch.zeros(1), length) for wave in samples]
            heard = embed(base, torch.stack(waves)).hidden[:, 0]
        alike = torch.cosine_similarity(heard.view(count, tried, -1), wanted[:, None], dim=2)
        return 1 - torch.nan_to_num(alike, nan=-1.0)
