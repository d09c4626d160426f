"""Selective Amnesia that also holds where learnt words stand for what is redacted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasNameReplacement, HasTrainingLoss
from redact_core.errors import RedactError
from redact_core.objectives._parts.learnt_words import Learnt, LearntWords, WordSearch
from redact_core.objectives._parts.replay import ReplayBatch, ReplayRows
from redact_core.objectives.selective_amnesia import SelectiveAmnesia
from redact_core.types import Lesson


class RobustAmnesia(SelectiveAmnesia):
    """Selective Amnesia, trained against words that are learnt from samples of what is redacted.

    A generator that forgot a name still draws the thing for a word that somebody learns from pictures of it (textual
    inversion, Gal et al., arXiv 2208.01618), and the untouched encoder reads that word. So such words are learnt beside
    the training, and taught. With ``L`` of :class:`~redact_core.objectives.selective_amnesia.SelectiveAmnesia`, ``E`` the
    encoder as it is and ``v`` embeddings in place of the name::

        L' = L + learnt_weight * E_{x ~ q}[l(x | E(prompt with v))]
        v  <- v - rate * g / |g|,   g = d/dv E_{x ~ theta*, redacted}[l(x | E(prompt with v))]

    Several words are searched for in turn, each over ``life`` training steps from random words on; what the first
    ``unused`` of them find means something else yet and is not taught. It is adversarial training (Madry et al.,
    arXiv 1706.06083) of the generator alone, with an attacker who goes on where it was. The encoder is not changed.

    Args:
        surrogate: As for Selective Amnesia, and so are the arguments up to ``learning_rate``.
        forget_weight: Of the surrogates.
        replay_weight: Of the replayed samples.
        ewc_weight: Of the elastic weight consolidation.
        parameters: Train only those whose name this regular expression is found in; default: all.
        surrogates: Samples drawn from ``q``.
        replays: Samples drawn of retained conditions.
        fisher_samples: Samples that the Fisher information is a mean over.
        fisher_times: Time steps visited of each, evenly spaced; default all.
        fisher: File (safetensors) that keeps the Fisher information.
        learning_rate: Peak learning rate that suits generators.
        learnt_weight: Of the samples under learnt words; with 0 this is Selective Amnesia.
        words: Words that are searched for side by side, one of them in each training step.
        search_steps: Of a word in its training step; each costs a pass forward and backward of ``searched``
            samples.
        life: Training steps of a word, after which another begins.
        unused: Of these, the first ones, which are not taught.
        search_rate: Length of a search's step, in the adapter's unit: the mean norm of the token embeddings.
        searched: Samples of a search's step.
        samples: Samples of what is redacted that words are learnt from, and as many of ``q``.

    Raises:
        RedactError: A setting is out of range; on preparing, the conditions of the model are not made of words.
    """

    needs = (HasTrainingLoss, HasNameReplacement)

    def __init__(
        self,
        surrogate: Literal["reference", "noise"] = "reference",
        forget_weight: float = 1.0,
        replay_weight: float = 1.0,
        ewc_weight: float = 100.0,
        parameters: str = "",
        surrogates: int = 512,
        replays: int = 512,
        fisher_samples: int = 256,
        fisher_times: int | None = None,
        fisher: Path | None = None,
        learning_rate: float = 1e-4,
        learnt_weight: float = 1.0,
        words: int = 8,
        search_steps: int = 2,
        life: int = 12,
        unused: int = 4,
        search_rate: float = 0.2,
        searched: int = 6,
        samples: int = 48,
    ):
        super().__init__(
            surrogate, forget_weight, replay_weight, ewc_weight, parameters, surrogates, replays, fisher_samples,
            fisher_times, fisher, learning_rate,
        )  # fmt: skip
        if not 0 <= learnt_weight < float("inf"):
            raise RedactError(f"learnt_weight is {learnt_weight}; give a finite number of at least 0.")
        self.search = WordSearch(words, search_steps, life, unused, search_rate, searched, samples)
        # plain numbers as well, for the card
        self.learnt_weight, self.words, self.search_steps, self.life = (
            learnt_weight,
            words,
            search_steps,
            life,
        )
        self.unused, self.search_rate, self.searched, self.samples = unused, search_rate, searched, samples
        self._learnt: LearntWords | None = None
        self._bank: dict[int, Learnt] = {}
        self._turn = 0

    def prepare(self, adapter: Adapter) -> nn.Module:
        self._learnt, self._bank, self._turn = None, {}, 0
        return super().prepare(adapter)

    def rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> ReplayRows:
        """Those of Selective Amnesia; samples of what is redacted are drawn for the searches."""
        found = super().rows(adapter, teacher, lessons, seed=seed)
        if self.learnt_weight:
            self._learnt = LearntWords(
                adapter, teacher, lessons, self.search, seed=seed, surrogates=self._surrogates
            )
        return found

    def forward(self, student: nn.Module, batch: ReplayBatch) -> dict[str, Tensor]:
        """The terms of Selective Amnesia, and ``learnt``: the training loss under the word of this step."""
        terms = super().forward(student, batch)
        if not self.learnt_weight:
            return terms
        if self._learnt is None:
            raise RedactError("RobustAmnesia knows no samples; call rows(...) before any step.")
        turn, self._turn = self._turn, self._turn + 1
        loss = self._learnt.loss(turn, self._bank)
        some = next(iter(terms.values()))
        terms["learnt"] = torch.zeros_like(some) if loss is None else self.learnt_weight * loss
        return terms

    def shortfalls(self) -> list[str]:
        """Whether the training ended before a word was taught."""
        if not self.learnt_weight or self._turn > self.search.taught_after:
            return []
        return [
            f"No learnt word was taught in {self._turn} steps: the first {self.unused} steps of each of {self.words} words are "
            f"not taught, {self.search.taught_after} in all. Take this model as one of SelectiveAmnesia; train for more steps, "
            "or with fewer words or unused steps."
        ]

    def get_extra_state(self) -> dict[str, Any]:
        """The searches, so that an interrupted training finds what it would have found."""
        bank = {number: (word.value.cpu(), word.age) for number, word in self._bank.items()}
        return {"turn": self._turn, "words": bank}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._turn = state["turn"]
        self._bank = {number: Learnt(value, age) for number, (value, age) in state["words"].items()}
