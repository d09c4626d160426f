"""Words that are learnt from samples of what is redacted, as an attacker learns them, while a generator is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import (
    HasNameReplacement,
    HasTrainingLoss,
    require,
)
from redact_core.adapters.disturbance import Disturbable, unit_length
from redact_core.errors import RedactError
from redact_core.objectives._parts.replay import draw, encode, swapped_weights
from redact_core.support.devices import without_float16
from redact_core.support.whole_numbers import WholeNumbers
from redact_core.types import Conditioning, Lesson, Mean

_PLACES = (1, 1, 2, 4)
"""How many embeddings stand for the name, in turn; one is the common case."""


@dataclass(frozen=True)
class WordSearch(WholeNumbers):
    """How words are searched for beside a training; the names are those of the method's arguments.

    Args:
        words: Searches that go on side by side, one of them in each training step.
        search_steps: Of a search in its training step.
        life: Training steps of a search, after which another begins at random words.
        unused: Of these, the first ones, in which the words do not bring anything back yet and nothing is taught.
        search_rate: Length of a step of the search, in the adapter's unit.
        searched: Samples of a step.
        samples: Samples of what is redacted, and as many of what is drawn instead.

    Raises:
        RedactError: A number is out of range.
    """

    words: int = 8
    search_steps: int = 2
    life: int = 12
    unused: int = 4
    search_rate: float = 0.2
    searched: int = 6
    samples: int = 48

    def __post_init__(self) -> None:
        least = {"words": 1, "search_steps": 1, "life": 1, "unused": 0, "searched": 1, "samples": 1}
        for name, count in least.items():
            if getattr(self, name) < count:
                raise RedactError(f"{name} is {getattr(self, name)}; give at least {count}.")
        if not 0 < self.search_rate < float("inf"):
            raise RedactError(f"search_rate is {self.search_rate}; give a finite number above 0.")
        if self.unused >= self.life:
            raise RedactError(
                f"unused is {self.unused} and life {self.life}, so no word would ever be taught; give fewer unused steps."
            )
        if self.searched > self.samples:
            raise RedactError(
                f"searched is {self.searched} and samples {self.samples}, so a step has fewer samples than it shall search "
                f"with; give at most {self.samples} searched, or more samples."
            )

    @property
    def taught_after(self) -> int:
        """Training steps that go by before the first word is taught."""
        return self.words * self.unused


@dataclass
class Learnt:
    """A word under search: its disturbance ``(places, dim)``, and the training steps that it has had."""

    value: Tensor
    age: int = 0


class LearntWords:
    """Searches for words that bring redacted samples back, and the loss that teaches the generator something else for them.

    Args:
        adapter: Its encoder reads the words, its generator is trained.
        teacher: The generator as it was.
        lessons: All of them; redacted ones whose answer is a mean are left out.
        search: Its settings.
        seed: Of the samples and of the searches.
        surrogates: Of an adapter, lessons and the first seed: what shall be drawn instead; default: samples of the answers.
    """

    def __init__(
        self,
        adapter: Adapter,
        teacher: nn.Module,
        lessons: Sequence[Lesson],
        search: WordSearch,
        *,
        seed: int,
        surrogates: Callable[[Adapter, Sequence[Lesson], int], list[Tensor]] | None = None,
    ):
        self.adapter, self.search, self.seed = adapter, search, seed
        self.words = require(adapter, HasNameReplacement, "Searching for words")
        self.trained = require(adapter, HasTrainingLoss, "Searching for words")
        gone = [row for row in lessons if row.redacted and not isinstance(row.answer, Mean)]
        rows = draw(gone, search.samples, seed + 3) if gone else []
        self.asked = [row.asked for row in rows]
        self.answers = [row.answer for row in rows if not isinstance(row.answer, Mean)]
        self.wanted, self.instead = list[Tensor](), list[Tensor]()
        first = seed * 1_000_003 + 700_000
        seeds = range(first, first + len(rows))
        if rows:
            with torch.no_grad(), swapped_weights(self.trained.generator, teacher):
                self.wanted = list(adapter.generate(encode(adapter, self.asked), seeds=seeds))
                self.instead = (
                    list(adapter.generate(encode(adapter, self.answers), seeds=seeds))
                    if surrogates is None
                    else surrogates(adapter, rows, first)
                )

    def loss(self, turn: int, bank: dict[int, Learnt]) -> Tensor | None:
        """``()`` the training loss of other samples under words that bring redacted ones back.

        Args:
            turn: The training step, from 0.
            bank: The words under search, by number; changed.

        Returns:
            ``None`` where the word of this step is not ready to be taught, or nothing can be searched for.
        """
        if not self.wanted:
            return None
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + turn)
        number = turn % self.search.words
        rows = torch.randperm(len(self.asked), generator=generator)[: self.search.searched].tolist()
        soft = self._places(number, rows)
        if not (soft.unit > 0).any():
            return None
        word = bank.get(number)
        if word is None or word.age >= self.search.life:
            word = bank[number] = Learnt(_one(soft, soft.at_points(generator)))
        value = word.value.to(soft.unit.device)
        for _ in range(self.search.search_steps):
            value = self._nearer(soft, value, rows, generator)
        bank[number] = Learnt(value, word.age + 1)
        if word.age < self.search.unused:
            return None
        with torch.no_grad():
            conditioning = self._read(soft, value)
        return self._loss(conditioning, [self.instead[i] for i in rows], generator).mean()

    def _places(self, number: int, rows: Sequence[int]) -> Disturbable:
        """Prompts with free places where they name what is redacted."""
        asked, answers = [self.asked[i] for i in rows], [self.answers[i] for i in rows]
        return self.words.replace(asked, answers, _PLACES[number % len(_PLACES)])

    def _nearer(
        self, soft: Disturbable, value: Tensor, rows: Sequence[int], generator: torch.Generator
    ) -> Tensor:
        """The word after a step of normalised gradient descent on the loss of the redacted samples."""
        with torch.enable_grad(), without_float16(value.device):
            value = value.detach().requires_grad_()
            loss = self._loss(self._read(soft, value), [self.wanted[i] for i in rows], generator).mean()
            (slope,) = torch.autograd.grad(loss, value)
        return (value - self.search.search_rate * soft.unit.max() * unit_length(slope)).detach()

    def _read(self, soft: Disturbable, value: Tensor) -> Conditioning:
        """What the encoder says of the prompts with the word in all of them."""
        change = soft.zeros()
        for row, free in enumerate(soft.unit > 0):
            places = int(free.sum())
            change[row, free] = value[:places].to(change.dtype)
        return self.adapter.encoder(soft.moved(change))

    def _loss(
        self, conditioning: Conditioning, samples: Sequence[Tensor], generator: torch.Generator
    ) -> Tensor:
        seeds = torch.randint(2**31 - 1, (len(samples),), generator=generator).tolist()
        device = conditioning.hidden.device
        return self.trained.training_loss(
            conditioning, [sample.to(device) for sample in samples], seeds=seeds
        )


def _one(soft: Disturbable, change: Tensor) -> Tensor:
    """``(places, dim)`` the free places of the first row that has most of them."""
    free = soft.unit > 0
    row = int(free.sum(1).argmax())
    return change[row][free[row]].detach()
