"""Query search with nonsense words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_image.adapters.token_ids import token_ids
from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import Reader, Slots, opened, slots
from modalities.text_to_image.attacks._search.words import around, speakable, spoken
from redact_core import Adapter, Attempt, PlanRow, conditioning_distance
from redact_core.attacks.success import leaks


class SneakyPrompt(PromptAttack):
    """Writes up to three words for the subject that the base's encoder takes for it; asks until it works.

    In the manner of Yang et al., "SneakyPrompt" (arXiv 2305.12082): no look into the attacked model,
    only at its samples. Candidates are ranked by the base's encoder and asked in that order, where the
    paper learns the order by reinforcement.

    Args:
        queries: Samples drawn from the attacked model, for each row at most.
        candidates: Random replacements that are ranked.
        words: Most words of a replacement.
    """

    access, adaptive = "prompt", True

    def __init__(self, queries: int = 20, candidates: int = 256, words: int = 3):
        self.queries, self.candidates, self.words = queries, candidates, words

    @property
    def budget(self) -> str:
        return f"{self.queries} queries, {self.candidates} candidates of {self.words} words"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        generator = torch.Generator().manual_seed(seed)
        ranked = [self._ranked(base, row, generator) for row in rows]
        found = {i: Attempt(condition=texts[0], queries=self.queries) for i, texts in enumerate(ranked)}
        left = list(range(len(rows)))
        for query in range(self.queries):
            left = [i for i in left if query < len(ranked[i])]
            if not left:
                break
            asked = [rows[i] for i in left]
            made = model.generate([ranked[i][query] for i in left], seeds=[row.seed for row in asked])
            seen = leaks(self.success, model, made, asked)
            hits = {i for i, hit in zip(left, seen, strict=True) if hit}
            found |= {i: Attempt(condition=ranked[i][query], queries=query + 1) for i in hits}
            left = [i for i in left if i not in hits]
        return [found[i] for i in range(len(rows))]

    def _ranked(self, base: Adapter, row: PlanRow, generator: torch.Generator) -> list[str]:
        """The nearest candidates by the base's encoder, nearest first, without the subject's own words."""
        reader = Reader(base)
        before, subject, after = around(row, opened(base).vocabulary)
        own = set(token_ids(reader.tokenizer, subject))
        words = torch.tensor([w for w in speakable(reader.tokenizer).tolist() if w not in own])
        asked = slots(reader.tokenizer, [(before, after)], self.words)
        drawn = words[torch.randint(len(words), (self.candidates, self.words), generator=generator)]
        distance = self._distance(base, reader, row, asked, drawn)
        order = distance.argsort()[: self.queries].tolist()
        return [f"{before}{spoken(reader.tokenizer, drawn[i])}{after}" for i in order]

    @torch.no_grad()
    def _distance(self, base: Adapter, reader: Reader, row: PlanRow, asked: Slots, drawn: Tensor) -> Tensor:
        device = reader.table.device
        wanted = base.encode([row.condition])
        conditioning = reader.words(asked.repeat(self.candidates), drawn)
        rows = torch.zeros(self.candidates, dtype=torch.long, device=device)
        # the last places hold the whole prompt in summary; at the first ones words are shifted
        half = conditioning.hidden.shape[1] // 2
        wanted.mask[:, :half] = False
        return conditioning_distance(conditioning, wanted[rows])
