"""Prompts that grade a redaction on the bundled base: what must be gone, and what must stay.

Strings only. The redacted groups come with the prompt of the reference, for comparison.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from modalities.text_to_image.prompts.expansion import Subject, understand
from modalities.text_to_image.prompts.phrasing import Split, draw
from modalities.text_to_image.prompts.vocabulary import Concept, Vocabulary


@dataclass(frozen=True)
class Case:
    """A prompt and what the untouched model is expected to show."""

    prompt: str
    concept: str
    style: str
    reference: str = ""
    """The prompt that the redacted one shall be answered as; empty for retained prompts."""


def groups(
    redact: str,
    reference: str,
    vocabulary: Vocabulary,
    neighbours: Sequence[str],
    *,
    n: int = 500,
    understood: frozenset[str] | None = None,
    seed: int = 0,
) -> dict[str, list[Case]]:
    """The groups ``redacted``, ``reworded``, ``synonyms``, ``neighbours`` and ``retained``.

    ``redacted`` uses names and wordings of the kind that taught the redaction, ``reworded`` the same
    names in held-out wordings, ``synonyms`` held-out names in held-out wordings (concepts only).

    Args:
        redact: A concept or a style of the vocabulary.
        reference: What is shown instead; for a style, empty means the prompt without it.
        vocabulary: Of the bundled base.
        neighbours: Names of the nearest concepts, or of the other styles.
        n: Prompts a group.
        understood: Held-out phrasings that the untouched base understands; others are not used.
        seed: Of the drawing.
    """
    subject = understand(redact, vocabulary)
    rng = random.Random(f"groups:{seed}:{redact}")
    if subject.kind == "concept":
        found = vocabulary.find(redact)
        assert found is not None, f"{redact} is not in the vocabulary"
        drawer = _Concept(found, reference, vocabulary, understood)
    else:
        drawer = _Style(subject, reference, vocabulary)
    near = [
        vocabulary.concepts[name] for name in neighbours if name in vocabulary.concepts
    ] or drawer.others()
    gone = {
        "redacted": [drawer.gone(rng, "seen") for _ in range(n)],
        "reworded": [drawer.gone(rng, "heldout") for _ in range(n)],
    }
    if isinstance(drawer, _Concept) and drawer.synonyms:
        gone["synonyms"] = [drawer.synonym(rng) for _ in range(n)]
    return {
        **gone,
        "neighbours": [drawer.kept(rng, near[i % len(near)]) for i in range(n)],
        "retained": [drawer.kept(rng, rng.choice(drawer.others())) for _ in range(n)],
    }


class _Concept:
    def __init__(
        self, concept: Concept, reference: str, vocabulary: Vocabulary, understood: frozenset[str] | None
    ):
        self.concept, self.reference, self.vocabulary = concept, reference, vocabulary
        self.names = (concept.name, concept.name, *concept.seen)
        self.synonyms = [p for p in concept.heldout if understood is None or p in understood]

    def gone(self, rng: random.Random, split: Split) -> Case:
        return self._case(rng, split, self.names)

    def synonym(self, rng: random.Random) -> Case:
        return self._case(rng, "heldout", self.synonyms)

    def _case(self, rng: random.Random, split: Split, names: Sequence[str]) -> Case:
        wording, style = draw(rng, split), rng.choice(self.vocabulary.styles)
        setting = rng.choice(self.vocabulary.settings)
        asked = wording.fill(rng.choice(names), style, setting)
        return Case(asked, self.concept.name, style, wording.fill(self.reference, style, setting))

    def kept(self, rng: random.Random, concept: Concept) -> Case:
        style, setting = rng.choice(self.vocabulary.styles), rng.choice(self.vocabulary.settings)
        return Case(draw(rng, "both").fill(concept.name, style, setting), concept.name, style)

    def others(self) -> list[Concept]:
        return [
            c for c in self.vocabulary.concepts.values() if c.name not in (self.concept.name, self.reference)
        ]


class _Style:
    def __init__(self, subject: Subject, reference: str, vocabulary: Vocabulary):
        self.style, self.reference, self.vocabulary = subject.names[0], reference, vocabulary

    def gone(self, rng: random.Random, split: Split) -> Case:
        wording, concept = draw(rng, split), rng.choice(self.others())
        setting = rng.choice(self.vocabulary.settings)
        asked = wording.fill(concept.name, self.style, setting)
        return Case(asked, concept.name, self.style, wording.fill(concept.name, self.reference, setting))

    def kept(self, rng: random.Random, concept: Concept) -> Case:
        style = rng.choice([s for s in self.vocabulary.styles if s != self.style])
        setting = rng.choice(self.vocabulary.settings)
        return Case(draw(rng, "both").fill(concept.name, style, setting), concept.name, style)

    def others(self) -> list[Concept]:
        return list(self.vocabulary.concepts.values())
