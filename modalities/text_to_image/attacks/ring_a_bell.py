"""Ring-A-Bell: a concept as a direction in the encoder, and prompts that carry it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_image.adapters.token_ids import token_ids
from modalities.text_to_image.attacks._search.prompt_attack import PromptAttack
from modalities.text_to_image.attacks._search.reading import Reader, Slots, opened, slots
from modalities.text_to_image.attacks._search.words import names_of, speakable, spoken
from modalities.text_to_image.prompts.phrasing import wordings
from redact_core import Adapter, Attempt, Conditioning, PlanRow

_NOTHING = "thing"


class RingABell(PromptAttack):
    """A prompt of plain words whose hidden state carries the concept, found by a genetic search.

    Tsai et al., "Ring-A-Bell!" (arXiv 2310.10012), eq. 3: the target is ``E(prompt) + strength * c``
    with ``c`` the mean of ``E(with the concept) - E(without it)``, all in the base's encoder. This is
    the published, static attack: the search is in the base's encoder too, and never sees the attacked
    model. Outputs of the encoder are used, no gradients. Departs from the paper in two ways: only the end
    of a prompt and what follows is compared, which holds all of it (before it, words of a found prompt
    stand at other positions than those of the target), and one prompt of the first generation is the
    row's own with random words behind it, so that a small budget starts where it matters.

    Args:
        tokens: Words of the prompt.
        strength: Of the concept in the target.
        population: Prompts of a generation; one of the first holds the prompt's own words.
        generations: Of the search.
        mutation: Share of the children of which a word is changed.
    """

    access, adaptive = "encoder gradient", False

    def __init__(
        self,
        tokens: int = 16,
        strength: float = 3.0,
        population: int = 200,
        generations: int = 100,
        mutation: float = 0.25,
    ):
        self.tokens, self.strength, self.mutation = tokens, strength, mutation
        self.population, self.generations = population, generations
        self._found: dict[tuple[str, int], Attempt] = {}

    @property
    def budget(self) -> str:
        return (
            f"{self.tokens} words, {self.population} x {self.generations} prompts, strength {self.strength:g}"
        )

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        reader = Reader(model if self.adaptive else base)
        if self.adaptive:
            return [self._search(reader, base, row, seed) for row in rows]
        for row in rows:  # the same for every model
            if (row.condition, row.seed) not in self._found:
                self._found[row.condition, row.seed] = self._search(reader, base, row, seed)
        return [self._found[row.condition, row.seed] for row in rows]

    @torch.no_grad()
    def _search(self, reader: Reader, base: Adapter, row: PlanRow, seed: int) -> Attempt:
        target = target_of(base, row, self.strength)
        words = speakable(reader.tokenizer)
        asked = slots(reader.tokenizer, [("", "")], self.tokens)
        ends = [self.tokens + 1, len(token_ids(reader.tokenizer, row.condition)) - 1]
        asked = asked.shortened(max(ends) - ends[0] + 3)
        generator = torch.Generator().manual_seed(seed + row.seed)

        def random(high: int, *shape: int) -> Tensor:
            return torch.randint(high, shape, generator=generator)

        half = self.population // 2
        people = random(len(words), self.population, self.tokens)
        own = _own_words(reader, words, row)[: self.tokens]
        people[0, : len(own)] = own
        loss = _distance(reader, asked, words[people], target, max(ends))
        losses = [loss.min().item()]
        for _ in range(self.generations):
            best = loss.argsort()[:half]
            kept = people[best]
            parents = kept[random(half, 2, self.population - half)]
            cut = random(self.tokens + 1, self.population - half, 1)
            children = torch.where(torch.arange(self.tokens) < cut, *parents)
            mutant = torch.rand(len(children), generator=generator) < self.mutation
            place = random(self.tokens, len(children), 1)
            changed = children.scatter(1, place, random(len(words), len(children), 1))
            children = torch.where(mutant[:, None], changed, children)
            people = torch.cat([kept, children])
            loss = torch.cat([loss[best], _distance(reader, asked, words[children], target, max(ends))])
            losses.append(loss.min().item())
        return Attempt(
            condition=spoken(reader.tokenizer, words[people[loss.argmin()]]),
            queries=self.population + (self.population - half) * self.generations,
            losses=tuple(losses),
        )


def _own_words(reader: Reader, words: Tensor, row: PlanRow) -> Tensor:
    """Which of ``words`` the prompt itself is made of, in order."""
    ids = token_ids(reader.tokenizer, row.condition)[1:-1]
    place = {own: i for i, own in enumerate(words.tolist())}
    return torch.tensor([place[i] for i in ids if i in place], dtype=torch.int64)


def concept_direction(base: Adapter, row: PlanRow) -> Tensor:
    """``(1, length, dim)``: the base's answers with the concept less those without, mean over wordings."""
    vocabulary = opened(base).vocabulary
    name, kind = names_of(row, vocabulary)[0], row.labels.get("kind", "concept")
    ways = wordings()
    if kind == "style":
        pairs = [(way.fill(_NOTHING, name), way.fill(_NOTHING)) for way in ways]
    else:
        pairs = [(way.fill(name), way.fill(_NOTHING)) for way in ways]
    with_it, without = (_hear(base, list(prompts)).hidden for prompts in zip(*pairs, strict=True))
    return (with_it - without).mean(0, keepdim=True)


def target_of(base: Adapter, row: PlanRow, strength: float) -> Conditioning:
    """The base's answer to the row's prompt, and ``strength`` times the concept."""
    plain = _hear(base, [row.condition])
    return Conditioning(plain.hidden + strength * concept_direction(base, row), plain.mask, plain.pooled)


def _hear(model: Adapter, prompts: list[str]) -> Conditioning:
    with torch.no_grad():
        return model.encode(prompts)


def _distance(reader: Reader, asked: Slots, people: Tensor, target: Conditioning, end: int) -> Tensor:
    """``(people,)`` mean squared difference from position ``end`` on, where both prompts have ended."""
    said = reader.words(asked.repeat(len(people)), people).hidden
    wanted = target.hidden[:, end : said.shape[1]]
    return (said[:, end:] - wanted).square().mean((1, 2)).cpu()
