"""Random search for embeddings in front of the prompt, without gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_image.attacks._search.objectives import towards_hidden
from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import Reader, slots
from redact_core import Adapter, Attempt, PlanRow, RedactError
from redact_core.attacks.random_search import check_search, random_search, whole


class SquareSoftPrompt(PromptAttack):
    """Embeddings in front of each prompt by random search that bring the encoder's answer near the base's.

    The search of Square Attack (Andriushchenko et al., arXiv 1912.00049) in a ball: normal noise is
    added, less as the search goes on, and stays where the loss falls. An embedding's dimensions have no
    neighbours, so there are no squares. No gradient is used: where this finds what
    :class:`~.soft_prompt.SoftPrompt` misses, gradients are masked. As with the searches for words, only the
    end of the prompt and what follows counts. It asks for the encoder's answers to embeddings, which is
    less than the access it is listed under.

    Args:
        tokens: Embeddings that are searched.
        steps: Queries of the attacked encoder, for each prompt.
        radius: Largest norm of an embedding, in mean norms of the token table.
        share: Of the power of ``radius`` that the first proposals have.

    Raises:
        RedactError: A setting is out of range.
    """

    access, adaptive = "encoder gradient", True

    def __init__(self, tokens: int = 4, steps: int = 2000, radius: float = 2.0, share: float = 0.3):
        check_search(steps, share)
        if tokens < 1 or not radius > 0:
            raise RedactError(
                f"tokens is {tokens} and radius {radius}; give at least 1 and a length above 0."
            )
        self.tokens, self.steps, self.radius, self.share = tokens, steps, radius, share

    @property
    def name(self) -> str:
        return f"{type(self).__name__}-{self.tokens}"

    @property
    def budget(self) -> str:
        return f"{self.tokens} embeddings, {self.steps} queries, radius {self.radius:g}"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        reader, generator = Reader(model), torch.Generator().manual_seed(seed)
        prompts = slots(reader.tokenizer, [("", " " + row.condition) for row in rows], self.tokens)
        asked, table = prompts.shortened(), reader.table
        distance = towards_hidden(base, asked, summary=True)
        shape = (len(rows), self.tokens, table.shape[1])
        limit = self.radius * table.norm(dim=1).mean()

        def drawn(share: float) -> Tensor:
            """Noise whose power is about ``share`` of the ball's radius'."""
            noise = torch.randn(shape, generator=generator).to(table)
            return noise * limit * (share / shape[2]) ** 0.5

        def bounded(free: Tensor) -> Tensor:
            return free * (limit / free.norm(dim=-1, keepdim=True).clamp(min=1e-12)).clamp(max=1)

        free, losses = whole(
            random_search(
                bounded(drawn(1.0)),
                lambda tried: distance(reader(asked, tried), 0),
                lambda now, share: bounded(now + drawn(share)),
                self.steps - 1,
                self.share,
            )
        )
        with torch.no_grad():
            conditioning = reader(prompts, free)
        return [
            Attempt(
                conditioning=conditioning[torch.tensor([i], device=conditioning.hidden.device)],
                queries=self.steps,
                losses=tuple(losses[i].tolist()),
            )
            for i in range(len(rows))
        ]
