"""Learnt embeddings in front of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from modalities.text_to_image.attacks._search.objectives import towards_hidden
from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import Reader, frozen, slots
from redact_core import Adapter, Attempt, PlanRow


class SoftPrompt(PromptAttack):
    """``tokens`` embeddings in front of each prompt that bring the encoder's answer near the base's.

    Whoever can feed embeddings to the encoder can do this; there need not be a text for them.

    Args:
        tokens: Learnt embeddings.
        steps: Of Adam.
        lr: In standard deviations of the token table.
    """

    access, adaptive = "encoder gradient", True

    def __init__(self, tokens: int = 4, steps: int = 200, lr: float = 0.3):
        self.tokens, self.steps, self.lr = tokens, steps, lr

    @property
    def name(self) -> str:
        return f"SoftPrompt-{self.tokens}"

    @property
    def budget(self) -> str:
        return f"{self.tokens} embeddings, {self.steps} steps"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del seed
        reader = Reader(model)
        asked = slots(reader.tokenizer, [("", row.condition) for row in rows], self.tokens)
        distance = towards_hidden(base, asked)
        free = reader.table[asked.ids.gather(1, asked.free).to(reader.table.device)].clone().requires_grad_()
        optimiser = torch.optim.Adam([free], lr=self.lr * reader.table.std().item())
        losses: list[list[float]] = []
        with frozen(model.encoder):
            for step in range(self.steps):
                loss = reader.loss(distance, asked, free, step)
                free.grad = torch.autograd.grad(loss.sum(), free)[0]
                optimiser.step()
                losses.append(loss.tolist())
        conditioning = reader(asked, free.detach())
        return [
            Attempt(
                conditioning=conditioning[torch.tensor([i], device=conditioning.hidden.device)].detach(),
                queries=self.steps,
                losses=tuple(step[i] for step in losses),
            )
            for i in range(len(rows))
        ]
