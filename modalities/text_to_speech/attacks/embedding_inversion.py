"""The embedding under which the generator itself finds the redacted voice's speech likely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch.nn.functional import normalize

from modalities.text_to_speech.attacks.voice_attack import VoiceAttack
from modalities.text_to_speech.attacks.voices import as_conditioning, encode
from redact_core import Access, Adapter, Attempt, Conditioning, PlanRow, RedactError
from redact_core.adapters.capabilities import HasTrainingLoss, require


class EmbeddingInversion(VoiceAttack):
    """Gradient descent on the embedding through the generator's training loss (textual inversion, for voices).

    Gal et al. 2023. The recordings that the attacker has are the base's own samples of the row, so
    that their words are known; the search starts from the attacked encoder's answer.

    Args:
        steps: Of Adam.
        lr: Its learning rate; embeddings have length 1.

    Raises:
        RedactError: A setting is out of range.
    """

    access: ClassVar[Access] = "denoiser gradient"
    adaptive = True

    def __init__(self, steps: int = 20, lr: float = 0.02):
        if steps < 1:
            raise RedactError(f"steps is {steps}; give at least 1.")
        if lr <= 0:
            raise RedactError(f"lr is {lr}; give a rate above 0.")
        self.steps, self.lr = steps, lr

    @property
    def name(self) -> str:
        return f"EmbeddingInversion-{self.steps}"

    @property
    def budget(self) -> str:
        return f"{self.steps} steps on 1 recording"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        """``losses`` are the generator's training losses."""
        del seed
        conditions, seeds = [row.condition for row in rows], [row.seed for row in rows]
        recordings = base.generate(conditions, seeds=seeds)
        start = encode(model, conditions)
        voices = normalize(start.hidden, dim=2).requires_grad_()
        optimizer = torch.optim.Adam([voices], lr=self.lr)
        curves: list[list[float]] = []
        trained = require(model, HasTrainingLoss, type(self).__name__)
        for step in range(self.steps):
            draws = [trained.redraw(s, step) for s in seeds]
            with torch.enable_grad():
                losses = trained.training_loss(Conditioning(voices, start.mask), recordings, seeds=draws)
                # not backward(): it would leave gradients in the generator
                (voices.grad,) = torch.autograd.grad(losses.sum(), voices)
            optimizer.step()
            curves.append(losses.detach().tolist())
        return [
            Attempt(
                conditioning=as_conditioning(voices[i, 0].detach()),
                queries=self.steps,
                losses=tuple(curve[i] for curve in curves),
            )
            for i in range(len(rows))
        ]
