"""Embeddings on the way from the redacted answer to the original one, and where the voice flips back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modalities.text_to_speech.attacks.voice_attack import VoiceAttack
from modalities.text_to_speech.attacks.voices import as_conditioning, cloner, encode, prototypes, voice_of
from redact_core import Access, Adapter, Attempt, PlanRow, RedactError


class Interpolation(VoiceAttack):
    """``(1 - alpha) * redacted + alpha * original``, both of length 1: how much of the original it takes.

    Args:
        alphas: Shares of the original embedding that the rows take in turn.

    Raises:
        RedactError: A share is not in [0, 1].
    """

    access: ClassVar[Access] = "sample"
    adaptive = True

    def __init__(self, alphas: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)):
        if not alphas or min(alphas) < 0 or max(alphas) > 1:
            raise RedactError(f"alphas is {alphas}; give shares of the original from 0 to 1.")
        self.alphas = alphas

    @property
    def name(self) -> str:
        return f"Interpolation-{self.alphas[0]:g}" if len(self.alphas) == 1 else "Interpolation"

    @property
    def budget(self) -> str:
        return "1 embedding at " + ", ".join(f"{alpha:g}" for alpha in self.alphas)

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del seed
        redacted, original = _ends(model, base, rows)
        alphas = torch.tensor([self.alphas[i % len(self.alphas)] for i in range(len(rows))])
        mixed = torch.lerp(redacted, original, alphas[:, None].to(redacted))
        return [Attempt(conditioning=as_conditioning(voice), queries=2) for voice in mixed]

    def flips(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], steps: int = 100) -> Tensor:
        """``(rows,)`` the least share, in ``steps`` steps, at which the row's voice is the nearest of the bank.

        By the base's encoder, with the mean directions of the bank's voices; 0 if the redacted
        answer is already nearest to it, ``nan`` if even the original is not.

        Raises:
            RedactError: A row's voice is not in the bank.
        """
        names = list(cloner(base).bank.voices)
        for row in rows:
            if voice_of(base, row) not in names:
                raise RedactError(f"{row.condition}: its voice is not in the bank; no flip can be found.")
        redacted, original = _ends(model, base, rows)
        gallery = prototypes(base, names)
        found: list[float] = []
        for row, start, end in zip(rows, redacted, original, strict=True):
            alphas = torch.linspace(0, 1, steps + 1).to(start)
            near = (torch.lerp(start[None], end[None], alphas[:, None]) @ gallery.T).argmax(1)
            hits = (near == names.index(voice_of(base, row))).nonzero()[:, 0]
            found.append(alphas[hits[0]].item() if len(hits) else float("nan"))
        return torch.tensor(found)


def _ends(model: Adapter, base: Adapter, rows: Sequence[PlanRow]) -> tuple[Tensor, Tensor]:
    conditions = [row.condition for row in rows]
    redacted, original = (normalize(encode(x, conditions).hidden[:, 0], dim=1) for x in (model, base))
    return redacted, original
