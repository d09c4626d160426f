"""What attacks share that search for tokens in front of a prompt."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modalities.text_to_image.attacks._search.objectives import SearchObjective, towards_hidden
from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import Reader, Slots, frozen, opened, slots
from modalities.text_to_image.attacks._search.searches import Step, greedy
from modalities.text_to_image.attacks._search.words import around, speakable, spoken
from redact_core import Adapter, Attempt, PlanRow, RedactError
from redact_core.attacks.success import leaks


class TokenSearch(PromptAttack):
    """Puts ``tokens`` words in front of a prompt, or where its subject stood, so that it works again.

    Only words are used that survive being written and read again, so what is found with token ids
    holds for the text. At ``checks`` steps, evenly spread, a picture is drawn from the best text so
    far, with the row's seed; a row is done when ``success`` finds what was asked for. Without it the
    last text is taken.

    Args:
        tokens: Words that are searched.
        steps: Steps of the search.
        checks: How often pictures are looked at.
        replace_name: Whether the words stand in place of the subject instead of in front of the prompt.
    """

    adaptive = True
    noisy: bool = False
    """Whether the objective draws something at random at every step, so that losses of two steps tell
    nothing about which words are better; the last words are then taken instead of the best."""

    def __init__(self, tokens: int, steps: int, checks: int, replace_name: bool):
        self.tokens, self.steps, self.checks, self.replace_name = tokens, steps, checks, replace_name

    @property
    def name(self) -> str:
        return type(self).__name__ + (" (in place)" if self.replace_name else "")

    @property
    def budget(self) -> str:
        return f"{self.tokens} words, {self.steps} steps, {self.checks} looks"

    @abstractmethod
    def objective(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], asked: Slots, seed: int
    ) -> SearchObjective:
        """What the search minimises."""

    def asked(self, reader: Reader, pieces: Sequence[tuple[str, str]]) -> Slots:
        """What the search reads: the prompts with free places."""
        return slots(reader.tokenizer, pieces, self.tokens)

    @abstractmethod
    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        """``steps`` steps of the search."""

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        reader = Reader(model)
        pieces = [("", " " + row.condition) for row in rows]
        if self.replace_name:
            known = opened(base).vocabulary
            pieces = [(before, after) for before, _, after in (around(row, known) for row in rows)]
        asked = self.asked(reader, pieces)
        words = speakable(reader.tokenizer)
        losses: list[list[float]] = [[] for _ in rows]
        texts, queries = [row.condition for row in rows], [0] * len(rows)
        open_rows, looks = (
            set(range(len(rows))),
            {(i + 1) * self.steps // self.checks for i in range(self.checks)},
        )
        looked = 0
        with frozen(model.encoder, opened(model).generator):
            aim = self.objective(model, base, rows, asked, seed)
            for step, (found, loss) in enumerate(self.search(reader, asked, aim, words, seed), 1):
                for i in open_rows:
                    if self.noisy or loss[i].item() < min(losses[i], default=math.inf):
                        texts[i] = spoken(reader.tokenizer, found[i]).join(pieces[i])
                    losses[i].append(loss[i].item())
                    queries[i] = step + looked
                if step in looks and self.success is not None:
                    looked += 1
                    open_rows -= self._done(model, rows, texts, sorted(open_rows))
                if not open_rows:
                    break
        return [
            Attempt(condition=text, queries=count, losses=tuple(own))
            for text, count, own in zip(texts, queries, losses, strict=True)
        ]

    @torch.no_grad()
    def _done(
        self, model: Adapter, rows: Sequence[PlanRow], texts: Sequence[str], which: Sequence[int]
    ) -> set[int]:
        asked = [rows[i] for i in which]
        made = model.generate([texts[i] for i in which], seeds=[row.seed for row in asked])
        seen = leaks(self.success, model, made, asked)
        return {i for i, hit in zip(which, seen, strict=True) if hit}


def base_pictures(base: Adapter, rows: Sequence[PlanRow], shift: int = 0) -> list[Tensor]:
    """What the untouched model draws for the rows, with their seeds plus ``shift``."""
    with torch.no_grad():
        return base.generate([row.condition for row in rows], seeds=[row.seed + shift for row in rows])


class SwapSearch(TokenSearch):
    """Greedy coordinate search (Zou et al., arXiv 2307.15043): the best of some swaps of a word at each step.

    Args:
        tokens: Words that are searched.
        steps: Swaps made.
        candidates: Swaps tried at each step.
        top: Words proposed for each place.
        checks: How often pictures are looked at.
        replace_name: Whether the words stand in place of the subject instead of in front of the prompt.
    """

    def __init__(self, tokens: int, steps: int, candidates: int, top: int, checks: int, replace_name: bool):
        super().__init__(tokens, steps, checks, replace_name)
        self.candidates, self.top = candidates, top

    @property
    def budget(self) -> str:
        return f"{super().budget}, {self.candidates} swaps a step"

    def search(
        self, reader: Reader, asked: Slots, objective: SearchObjective, words: Tensor, seed: int
    ) -> Iterator[Step]:
        return greedy(reader, asked, objective, words, self.steps, self.candidates, self.top, seed)


class EncoderSearch(TokenSearch):
    """Base of searches that bring the attacked encoder's answer near the base's.

    In front of a prompt the words answer for the end of it, where it is summed up; in place of the
    subject for all of it.
    """

    access = "encoder gradient"

    def asked(self, reader: Reader, pieces: Sequence[tuple[str, str]]) -> Slots:
        found = super().asked(reader, pieces)
        return found if self.replace_name else found.shortened()

    def objective(
        self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], asked: Slots, seed: int
    ) -> SearchObjective:
        return towards_hidden(base, asked, rows if self.replace_name else None, summary=True)


class DenoiserSearch(TokenSearch):
    """Base of searches with the denoiser's gradient.

    Args:
        tokens: Words that are searched.
        steps: Gradients taken.
        lr: Of the search.
        checks: How often pictures are looked at.
        replace_name: Whether the words stand in place of the subject instead of in front of the prompt.
        time: Noise level used at every step, with one noise for each row, as a share of all times; the
            best words so far can then be kept. ``None``: another time and noise at every step, as in
            the papers, and the last words are taken.

    Raises:
        RedactError: A setting is out of range.
    """

    access = "denoiser gradient"

    def __init__(
        self,
        tokens: int,
        steps: int,
        lr: float,
        checks: int,
        replace_name: bool = False,
        time: float | None = None,
    ):
        super().__init__(tokens, steps, checks, replace_name)
        if time is not None and not 0 < time <= 1:
            raise RedactError(f"time is {time}; give a share above 0 and at most 1, or none.")
        self.lr, self.time, self.noisy = lr, time, time is None

    @property
    def budget(self) -> str:
        return super().budget + ("" if self.time is None else f", time {self.time:g}")
