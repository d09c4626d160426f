"""What a request asks of a model that reads prompts: rows to train on, rows to judge by, and references."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from modalities.text_to_image.adapters.prompt_encoder import whole_words
from modalities.text_to_image.prompts import expansion, planning
from modalities.text_to_image.prompts.implicit_synonyms import implicit_synonyms
from modalities.text_to_image.prompts.shares import PromptRows
from modalities.text_to_image.prompts.vocabulary import Vocabulary
from modalities.text_to_image.prompts.weighing import Scales
from redact_core import Condition, Lesson, PlanRow, Request
from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import PlansEvaluations


class PromptRequests(Adapter, PlansEvaluations):
    """For adapters whose conditions are prompts. How their tokenizer and encoder read a prompt is theirs to say."""

    bundled_base: bool
    """Whether the model is the bundled one, or was made of it."""
    tokenizer: Any
    vocabulary: Vocabulary
    truncate: bool
    implicit_synonyms: int
    per_name: int
    random_wordings: int
    misspellings: int
    most_rows: int

    @abstractmethod
    def identity(self, condition: Condition) -> str:
        """What the encoder reads of a prompt, as text."""

    @abstractmethod
    def named_alike(self, one: str, other: str) -> bool:
        """Whether two names are read alike, whatever their articles."""

    @abstractmethod
    def fits(self, prompt: str) -> bool:
        """Whether the encoder reads all of a prompt."""

    @abstractmethod
    def summary_embeddings(self, prompts: Sequence[str]) -> Tensor:
        """``(prompts, dim)`` what the encoder makes of each prompt, as one vector."""

    @abstractmethod
    def remarks_on_base(self) -> tuple[str, ...]:
        """What an owner should know of the base whatever is redacted."""

    def expand(self, request: Request) -> list[Lesson]:
        """Concepts, styles and prompt lists in many wordings: see :mod:`.expansion`, :mod:`.references`."""
        request = self.with_references(request)
        self.remarks += self.remarks_on_base()

        def find_synonyms(names: Sequence[str], avoid: Sequence[str]) -> list[str]:
            found = self.find_implicit_synonyms(names, self.implicit_synonyms, avoid=avoid, seed=request.seed)
            # not which: of a concept that should not be seen, they should not be either
            self.remarks += (
                f'{len(found)} prompts that do not say "{names[0]}" mean the same to the encoder and are redacted with it.',
            )
            return found

        def note(remark: str) -> None:
            self.remarks += (remark,)

        rows = expansion.expand(
            request,
            self.vocabulary,
            whole_words(self.tokenizer),
            self.fits,
            PromptRows(self.per_name, self.random_wordings, self.misspellings, self.most_rows),
            find_synonyms=find_synonyms if self.implicit_synonyms else None,
            identity=self.identity,
            note=note,
        )
        if self.truncate:
            cut = {str(row.asked) for row in rows if not self.fits(str(row.asked))}
            if cut:
                note(
                    f"{len(cut)} prompts are longer than the encoder reads and are cut, as the pipeline cuts them."
                )
        return rows

    def with_references(self, request: Request) -> Request:
        """The request with a reference for every entry; see :mod:`.references`.

        Leaves in :attr:`remarks` and :attr:`chosen_references` what was chosen. Warns of references that may be drawn as what
        is redacted.

        Raises:
            RedactError: A reference is itself redacted, to the encoder or by its name, or no default can be chosen.
        """
        self.remarks, self.chosen_references = (), ()
        request.check_references()
        subjects = [expansion.understand(text, self.vocabulary) for text in request.redact]
        gone = expansion.names_of(subjects)
        scales = Scales(gone, self.vocabulary, self.summary_embeddings, self.named_alike)
        found = [scales.weigh(subject, request.reference_of(i)) for i, subject in enumerate(subjects)]
        for one in found:
            if one.warning:
                warnings.warn(one.warning, stacklevel=2)
        self.remarks = tuple(one.remark for one in found if one.remark)
        self.chosen_references = tuple(one.shown for one in found)
        return replace(request, references=tuple(one.reference for one in found))

    def find_implicit_synonyms(
        self, names: Sequence[str], limit: int, *, avoid: Sequence[str] = (), seed: int = 0
    ) -> list[str]:
        """Prompts of the tokenizer's words that the encoder takes for the concept ``names``: see :mod:`.implicit_synonyms`.

        Args:
            names: What the concept is called, first its usual name.
            limit: Prompts at most.
            avoid: Words that may not be used, beside those that name something in the vocabulary.
            seed: Of the search.
        """
        known = self.vocabulary
        others = [name for name in known.concepts if name not in names]
        listed = (*known.concepts, *known.styles, *known.settings)
        named = {word for name in listed for word in name.lower().split()}
        words = sorted({*whole_words(self.tokenizer)} - named - {*avoid})
        return implicit_synonyms(self.summary_embeddings, names, others, words, limit, seed=seed)

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        """Prompts by :mod:`.planning`; neighbours are the nearest conditionings of the bundled base."""
        request = planning.named(request, self.vocabulary)
        bundled = self.bundled_base
        concepts = [name for name in request.redact if bundled and self.vocabulary.find(name)]
        near = {name: self.distances(name) for name in concepts}
        request = self.with_references(request)
        return planning.plan(request, self.vocabulary, near, bundled, n)

    def nearest(self, name: str, count: int = 10) -> list[str]:
        """Concepts of the vocabulary whose conditioning is nearest to that of ``name``."""
        return list(self.distances(name))[:count]

    @torch.no_grad()
    def distances(self, name: str) -> dict[str, float]:
        """Every other concept of the vocabulary, nearest first: 1 less the cosine of the centred conditionings."""
        names = [n for n in self.vocabulary.concepts if n != name]
        hidden = self.encode([name, *names]).hidden.flatten(1)
        hidden = hidden - hidden.mean(0)
        alike = torch.cosine_similarity(hidden[:1], hidden[1:])
        return {names[i]: 1 - alike[i].item() for i in alike.argsort(descending=True).tolist()}
