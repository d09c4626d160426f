"""A word filter: prompts that say a listed word are refused, or the word is replaced."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_image.prompts.spelling import find
from redact_core import Adapter, Condition, Conditioning, Guard, RedactError
from redact_core.adapters.generator_parts import ReadsText


class WordFilter(Guard):
    """A list of words before the model, with spelling variants; trains nothing, costs nothing.

    The baseline that every service has. It reads texts: what comes as embeddings passes.

    Known traps: a filter that compares whole words misses blanks between letters, look-alike letters and slips, so these
    are looked for. One slip then takes parrot for carrot: list such neighbours as ``allowed``. Names that nobody listed pass.

    Args:
        inner: A model of pictures, or a guard around one.
        words: What may not be said, with the synonyms that shall not pass either.
        replacement: What is put in the place of each; default: a gray picture for the whole prompt.
        slips: Of the pen that a longer word may have.
        allowed: Words that are near one of the list and may be said.

    Raises:
        RedactError: No word is given, or ``slips`` is below 0.
    """

    needs = (ReadsText,)

    def __init__(
        self,
        inner: Adapter,
        words: list[str],
        replacement: str | None = None,
        slips: int = 1,
        allowed: list[str] | None = None,
    ):
        super().__init__(inner)
        if not words:
            raise RedactError("No word is given; name at least one that may not be said.")
        if slips < 0:
            raise RedactError(f"slips is {slips}; give at least 0.")
        self.words, self.replacement, self.slips = list(words), replacement, slips
        self.allowed = list(allowed or [])

    def found(self, prompt: str) -> list[slice]:
        """Where ``prompt`` says a listed word."""
        return find(prompt, self.words, slips=self.slips, allowed=self.allowed)

    def passed(self, prompt: str) -> str | None:
        """The prompt that the model is asked; ``None`` where it is refused."""
        places = self.found(prompt)
        if not places:
            return prompt
        if self.replacement is None:
            return None
        for place in reversed(places):
            prompt = prompt[: place.start] + self.replacement + prompt[place.stop :]
        return prompt

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        if isinstance(conditions, Conditioning):
            return self.inner.generate(conditions, seeds=seeds)
        asked = [self.passed(str(prompt)) for prompt in conditions]
        # a refused prompt is asked as the empty one, whose picture gives the size and is thrown away
        drawn = self.inner.generate([prompt or "" for prompt in asked], seeds=seeds)
        return [
            torch.full_like(x, 0.5) if prompt is None else x for x, prompt in zip(drawn, asked, strict=True)
        ]
