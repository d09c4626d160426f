"""Rows of a style beside its ordinary ones: among random words, and by misspelt names."""

from __future__ import annotations

import random
from collections.abc import Sequence

from modalities.text_to_image.prompts.misspellings import misspellings
from modalities.text_to_image.prompts.phrasing import draw, random_wording
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from redact_core import Lesson


def in_random_wordings(
    style: str,
    reference: str,
    concepts: Sequence[str],
    vocabulary: Vocabulary,
    words: Sequence[str],
    rng: random.Random,
    count: int,
) -> list[Lesson]:
    """A style asked for among random words, so that none of its wordings has to be known.

    Args:
        style: Its name.
        reference: The style that is drawn instead; empty: none.
        concepts: What is drawn in it, by name.
        vocabulary: With the settings.
        words: Words to draw from.
        rng: Draws.
        count: Rows; none without ``concepts``.
    """
    settings = ["", *vocabulary.settings]
    rows: list[Lesson] = []
    for _ in range(count if concepts else 0):
        wording, what, setting = random_wording(rng, words), rng.choice(concepts), rng.choice(settings)
        # without a reference the name alone goes: an empty one would take the words around it along
        asked, answer = (wording.fill(what, name, setting) for name in (style, reference or " "))
        rows.append(Lesson.redact(asked, answer))
    return rows


def misspelt(
    style: str,
    reference: str,
    concepts: Sequence[str],
    vocabulary: Vocabulary,
    words: Sequence[str],
    rng: random.Random,
    count: int,
) -> list[Lesson]:
    """A style by its misspelt names, each in turn: an encoder reads them as pieces of the right one.

    Args:
        style: Its name.
        reference: The style that is drawn instead; empty: none.
        concepts: What is drawn in it, by name.
        vocabulary: With the settings.
        words: Whole words, which are no misspellings.
        rng: Draws.
        count: Rows; none without ``concepts``.
    """
    slips = misspellings(style, {word.lower() for word in (*words, *vocabulary.concepts, *vocabulary.styles)})
    rng.shuffle(slips)
    settings = ["", *vocabulary.settings]
    rows: list[Lesson] = []
    for i in range(count if concepts and slips else 0):
        wording, what, setting = draw(rng), rng.choice(concepts), rng.choice(settings)
        asked, answer = (wording.fill(what, name, setting) for name in (slips[i % len(slips)], reference))
        rows.append(Lesson.redact(asked, answer))
    return rows
