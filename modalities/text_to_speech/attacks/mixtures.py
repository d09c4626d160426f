"""An average of other people's voices that comes near to the redacted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from modalities.text_to_speech.attacks.voice_attack import VoiceAttack
from modalities.text_to_speech.attacks.voices import as_conditioning, others, prototypes, targets
from redact_core import Access, Adapter, Attempt, PlanRow, RedactError

_RATE = 2.0


class Mixtures(VoiceAttack):
    """The convex mixture of retained voices, as the attacked encoder embeds them, that is nearest to the target.

    The target is the base's embedding of the row's voice. Weights are found by exponentiated
    gradient (Kivinen & Warmuth 1997) on the cosine, so they are positive and sum to 1: people mix
    voices in this way in tables of voices.

    Args:
        voices: Retained voices in the mixture, the nearest ones.
        steps: Of the search for weights.

    Raises:
        RedactError: A setting is out of range.
    """

    access: ClassVar[Access] = "sample"
    adaptive = True

    def __init__(self, voices: int = 8, steps: int = 200):
        for name, value in (("voices", voices), ("steps", steps)):
            if value < 1:
                raise RedactError(f"{name} is {value}; give at least 1.")
        self.voices, self.steps = voices, steps

    @property
    def name(self) -> str:
        return f"Mixtures-{self.voices}"

    @property
    def budget(self) -> str:
        return f"{self.steps} steps over {self.voices} voices"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        """``losses`` are 1 - cosine to the target."""
        del seed
        heard = prototypes(model, others(base, rows))
        found: list[Attempt] = []
        for target in targets(base, rows):
            near = heard[(heard @ target).argsort(descending=True)[: self.voices]]
            mixture, losses = _mix(near, target, self.steps)
            found.append(Attempt(conditioning=as_conditioning(mixture), queries=len(near), losses=losses))
        return found


def _mix(voices: Tensor, target: Tensor, steps: int) -> tuple[Tensor, tuple[float, ...]]:
    weights = torch.full((len(voices),), 1 / len(voices), device=voices.device)
    losses: list[float] = []
    for _ in range(steps):
        with torch.enable_grad():
            leaf = weights.requires_grad_()
            loss = 1 - torch.cosine_similarity(leaf @ voices, target, dim=0)
            (gradient,) = torch.autograd.grad(loss, leaf)
        losses.append(loss.item())
        weights = (weights.detach().log() - _RATE * gradient).softmax(0)
    return weights @ voices, tuple(losses)
