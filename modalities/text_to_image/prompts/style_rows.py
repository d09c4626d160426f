"""Rows of a style beside its ordinary ones: among random words, and by misspelt names."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from modalities.text_to_image.prompts.misspellings import misspellings
from modalities.text_to_image.prompts.phrasing import draw, random_wording
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from redact_core import Lesson


@dataclass(frozen=True)
class StyleRows:
    """Makes them for one style.

    Args:
        style: Its name.
        reference: The style that is drawn instead; empty: none.
        concepts: What is drawn in it, by name; without any there are no rows.
        vocabulary: With the settings, and the names that are no misspellings.
    """

    style: str
    reference: str
    concepts: Sequence[str]
    vocabulary: Vocabulary

    def in_random_wordings(self, words: Sequence[str], rng: random.Random, count: int) -> list[Lesson]:
        """The style asked for among random words, so that none of its wordings has to be known.

        Args:
            words: Words to draw from.
            rng: Draws.
            count: Rows.
        """
        settings = ["", *self.vocabulary.settings]
        rows: list[Lesson] = []
        for _ in range(count if self.concepts else 0):
            wording, what, setting = (
                random_wording(rng, words),
                rng.choice(self.concepts),
                rng.choice(settings),
            )
            # without a reference the name alone goes: an empty one would take the words around it along
            asked, answer = (
                wording.fill(what, name, setting) for name in (self.style, self.reference or " ")
            )
            rows.append(Lesson.redact(asked, answer))
        return rows

    def misspelt(self, words: Sequence[str], rng: random.Random, count: int) -> list[Lesson]:
        """The style by its misspelt names, each in turn: an encoder reads them as pieces of the right one.

        Args:
            words: Whole words, which are no misspellings.
            rng: Draws.
            count: Rows.
        """
        known = (*words, *self.vocabulary.concepts, *self.vocabulary.styles)
        slips = misspellings(self.style, {word.lower() for word in known})
        rng.shuffle(slips)
        settings = ["", *self.vocabulary.settings]
        rows: list[Lesson] = []
        for i in range(count if self.concepts and slips else 0):
            wording, what, setting = draw(rng), rng.choice(self.concepts), rng.choice(settings)
            slip = slips[i % len(slips)]
            asked, answer = (wording.fill(what, name, setting) for name in (slip, self.reference))
            rows.append(Lesson.redact(asked, answer))
        return rows
