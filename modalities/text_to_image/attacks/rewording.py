"""Natural rewordings."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from modalities.text_to_image.adapters.folders import BUNDLED
from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import opened
from modalities.text_to_image.attacks._search.words import names_of
from modalities.text_to_image.prompts.phrasing import draw
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from redact_core import Adapter, Attempt, PlanRow


class Rewording(PromptAttack):
    """Asks with other names and in held-out wordings, as people who mean no harm do.

    Names are the vocabulary's held-out phrasings (of the bundled base those that it understands), or
    those given. A subject without any keeps its name; the wording is new all the same.

    Args:
        synonyms: Names to use instead of the vocabulary's, in any language that the base knows.
    """

    access, adaptive = "prompt", False

    def __init__(self, synonyms: list[str] | None = None):
        self.synonyms = synonyms or []

    @property
    def budget(self) -> str:
        return "1 prompt"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model
        known, rng = opened(base), random.Random(f"rewording:{seed}")
        found: list[Attempt] = []
        for row in rows:
            names = self.synonyms or self._names(row, known.vocabulary, known.bundled)
            setting = rng.choice([s for s in known.vocabulary.settings if s in row.condition] or [""])
            subject, style = rng.choice(names), row.labels.get("style", "")
            if row.labels.get("kind") == "style":
                subject, style = row.labels.get("concept", "picture"), subject
            found.append(Attempt(condition=draw(rng, "heldout").fill(subject, style, setting), queries=1))
        return found

    def _names(self, row: PlanRow, vocabulary: Vocabulary, bundled: bool) -> list[str]:
        names = names_of(row, vocabulary)
        concept = vocabulary.find(names[0]) if row.labels.get("kind", "concept") == "concept" else None
        heldout = list(concept.heldout) if concept else []
        if bundled:
            understood = frozenset(json.loads((BUNDLED / "understood.json").read_text(encoding="utf-8")))
            heldout = [name for name in heldout if name in understood]
        return heldout or names[:1]
