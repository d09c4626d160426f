"""Textual inversion of what was redacted."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import Reader, SearchObjective, frozen, opened, slots
from modalities.text_to_image.attacks._search.token_search import base_pictures
from modalities.text_to_image.attacks._search.words import around
from redact_core import Adapter, Attempt, Conditioning, PlanRow, RedactError
from redact_core.adapters.capabilities import HasTrainingLoss, require

_OTHER_SEEDS = 1_000_000


class ConceptInversion(PromptAttack):
    """Learns ``tokens`` new embeddings from the base's pictures; they stand where the subject stood.

    Pham et al., "Circumventing Concept Erasure Methods" (arXiv 2308.01508), by textual inversion (Gal
    et al., arXiv 2208.01618, eq. 2). One search for each model serves every row; the pictures it
    learns from have other seeds than the rows.

    Args:
        tokens: Learnt embeddings.
        steps: Of Adam.
        pictures: The base's pictures to learn from.
        batch: Pictures of a step.
        lr: In standard deviations of the token table.
    """

    access, adaptive = "denoiser gradient", True

    def __init__(
        self, tokens: int = 1, steps: int = 500, pictures: int = 24, batch: int = 8, lr: float = 0.3
    ):
        self.tokens, self.steps, self.pictures, self.batch, self.lr = tokens, steps, pictures, batch, lr
        self._learnt: WeakKeyDictionary[Adapter, tuple[Tensor, tuple[float, ...]]] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        return f"ConceptInversion:{self.tokens}-{self.steps}"

    @property
    def budget(self) -> str:
        return f"{self.tokens} embeddings, {self.steps} steps of {self.batch}, {self.pictures} pictures"

    def subvert(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> Adapter:
        """Learn the embeddings, which serve every row; the model stays as it is."""
        self._learnt[model] = self.learnt(model, base, rows, seed=seed)
        return model

    def learnt(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int
    ) -> tuple[Tensor, tuple[float, ...]]:
        """``(1, tokens, dim)`` embeddings that are learnt with ``model``, and the loss of each step."""
        reader = Reader(model)
        rows = [rows[i % len(rows)] for i in range(self.pictures)]
        subjects = {row.labels.get(row.labels.get("kind", "concept")) for row in rows}
        if len(subjects) > 1:
            raise RedactError(
                f"{self.name} learns one subject, the rows ask for {len(subjects)}; attack one at a time."
            )
        asked = slots(reader.tokenizer, self._pieces(base, rows), self.tokens)
        pictures = [
            picture for turn in range(0, len(rows), base.batch_size)
            for picture in base_pictures(base, rows[turn : turn + base.batch_size], _OTHER_SEEDS + turn)
        ]  # fmt: skip
        generator = torch.Generator().manual_seed(seed)
        free = (
            reader.table[asked.ids.gather(1, asked.free)[:1].to(reader.table.device)].clone().requires_grad_()
        )
        optimiser = torch.optim.Adam([free], lr=self.lr * reader.table.std().item())
        losses: list[float] = []
        trained = require(model, HasTrainingLoss, type(self).__name__)
        with frozen(model.encoder, opened(model).generator):
            for step in range(self.steps):
                chosen = torch.randint(len(rows), (self.batch,), generator=generator)
                draws = torch.randint(2**31 - 1, (self.batch,), generator=generator).tolist()
                part = type(asked)(asked.ids[chosen], asked.free[chosen], asked.mask[chosen])
                fit = _fit(trained, [pictures[i] for i in chosen.tolist()], draws)
                loss = reader.loss(fit, part, free.expand(self.batch, -1, -1), step).mean()
                free.grad = torch.autograd.grad(loss, free)[0]
                optimiser.step()
                losses.append(loss.item())
        return free.detach(), tuple(losses)

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        if model not in self._learnt:
            self.subvert(model, base, rows, seed=seed)
        return self.with_embeddings(model, base, rows, *self._learnt[model])

    def with_embeddings(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], free: Tensor, losses: tuple[float, ...]
    ) -> list[Attempt]:
        """The rows with embeddings of :meth:`learnt`, which another model may have taught."""
        reader = Reader(model)
        asked = slots(reader.tokenizer, self._pieces(base, rows), self.tokens)
        with torch.no_grad():
            conditioning = reader(asked, free.expand(len(rows), -1, -1))
        return [
            Attempt(
                conditioning=conditioning[torch.tensor([i], device=conditioning.hidden.device)],
                queries=self.steps,
                losses=losses,
            )
            for i in range(len(rows))
        ]

    def _pieces(self, base: Adapter, rows: Sequence[PlanRow]) -> list[tuple[str, str]]:
        return [(before, after) for before, _, after in (around(r, opened(base).vocabulary) for r in rows)]


def _fit(model: HasTrainingLoss, pictures: Sequence[Tensor], seeds: Sequence[int]) -> SearchObjective:
    """The denoiser's loss of ``pictures``, at the times and with the noise of ``seeds``."""

    def loss(conditioning: Conditioning, step: int) -> Tensor:
        del step
        return model.training_loss(conditioning, pictures, seeds=seeds)

    return loss
