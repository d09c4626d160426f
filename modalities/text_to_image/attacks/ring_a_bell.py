"""Ring-A-Bell: a concept as a direction in the encoder, and prompts that carry it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_image.attacks.reading import Reader, Slots, opened, slots
from modalities.text_to_image.attacks.words import names_of, speakable, spoken
from modalities.text_to_image.phrasing import wordings
from redact_core import Adapter, Attack, Attempt, Conditioning, PlanRow

_NOTHING = "thing"


class RingABell(Attack):
    """A prompt of plain words whose hidden state carries the concept, found by a genetic search.

    Tsai et al., "Ring-A-Bell!" (arXiv 2310.10012), eq. 3: the target is ``E(prompt) + strength * c``
    with ``c`` the mean of ``E(with the concept) - E(without it)``, all in the base's encoder. This is
    the published, static attack: the search is in the base's encoder too, and never sees the attacked
    model. Outputs of the encoder are used, no gradients.

    Args:
        tokens: Words of the prompt.
        strength: Of the concept in the target.
        population: Prompts kept in a generation.
        generations: Of the search.
    """

    access, adaptive = "encoder gradient", False

    def __init__(
        self, tokens: int = 16, strength: float = 3.0, population: int = 200, generations: int = 100
    ):
        self.tokens, self.strength = tokens, strength
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
        generator = torch.Generator().manual_seed(seed + row.seed)

        def random(high: int, *shape: int) -> Tensor:
            return torch.randint(high, shape, generator=generator)

        half = self.population // 2
        people = random(len(words), self.population, self.tokens)
        losses: list[float] = []
        for _ in range(self.generations):
            loss = _distance(reader, asked, words[people], target)
            kept = people[loss.argsort()[:half]]
            losses.append(loss.min().item())
            parents = kept[random(half, 2, self.population - half)]
            cut = random(self.tokens + 1, self.population - half, 1)
            children = torch.where(torch.arange(self.tokens) < cut, *parents)
            mutant = torch.rand(len(children), generator=generator) < 0.25
            place = random(self.tokens, len(children), 1)
            changed = children.scatter(1, place, random(len(words), len(children), 1))
            people = torch.cat([kept, torch.where(mutant[:, None], changed, children)])
        best = people[_distance(reader, asked, words[people], target).argmin()]
        return Attempt(
            condition=spoken(reader.tokenizer, words[best]),
            queries=self.population * self.generations,
            losses=tuple(losses),
        )


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
    device = next(model.encoder.parameters()).device
    with torch.no_grad():
        return model.encoder({key: value.to(device) for key, value in model.collate(prompts).items()})


def _distance(reader: Reader, asked: Slots, people: Tensor, target: Conditioning) -> Tensor:
    said = reader.words(asked.repeat(len(people)), people)
    return (said.hidden - target.hidden).square().mean((1, 2)).cpu()
