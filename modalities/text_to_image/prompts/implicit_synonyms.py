"""What the model takes for a concept though it does not say so: other names that nobody thought of.

A prompt encoder answers many prompts as it answers "a cigarette": parts of words, words that often stood
beside one, salads of words. Redacted names alone leave them as they are, and whoever looks for words
that bring the concept back finds them there. So they are looked for before training, without gradients.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import torch
from torch import Tensor

Encode = Callable[[Sequence[str]], Tensor]
"""Prompts -> ``(prompts, dim)``, what the encoder says where each of them ends."""

NEAR = 0.35
"""What is taken for a concept lies at most so far from it, in squared distances to the nearest other concept."""
LONGEST = 8
"""Words of a prompt that is tried."""
_POOL, _ROUNDS, _BEST = 2000, 6, 128
_CHUNK = 256


def implicit_synonyms(
    encode: Encode,
    names: Sequence[str],
    others: Sequence[str],
    words: Sequence[str],
    limit: int,
    *,
    seed: int = 0,
) -> list[str]:
    """Words, and rows of up to :data:`LONGEST` of them, that are answered nearly as ``names`` are.

    All words are tried alone and random ones together; then, in rounds, the nearest so far with a word
    replaced, put in or left out. A find holds no other find: what stands around it changes little.

    Args:
        encode: Asks the untouched encoder.
        names: Of the concept; the mean of their answers is what others are held against.
        others: Names of other concepts; to none of them may a find be nearer. None: nothing is found,
            for there is no scale.
        words: To try; those that name something that stays should not be among them.
        limit: Finds at most, drawn from all.
        seed: Of what is tried and drawn.
    """
    if not others or not words or limit < 1:
        return []
    search = _Search(encode, names, others)
    rng = random.Random(f"heard as:{seed}")
    search.look(words)
    search.look(" ".join(rng.choices(words, k=rng.randint(2, LONGEST))) for _ in range(_POOL))
    for _ in range(_ROUNDS):
        best = search.nearest(_BEST)
        search.look([_changed(rng.choice(best), words, rng) for _ in range(_POOL // 2)] if best else [])
    found = search.smallest()
    return sorted(rng.sample(found, min(limit, len(found))))


class _Search:
    """What was tried, and how near it came."""

    def __init__(self, encode: Encode, names: Sequence[str], others: Sequence[str]):
        self.encode = encode
        self.middle = self._ask(names).mean(0)
        self.others = self._ask(others)
        self.limit = NEAR * (self.others - self.middle).square().mean(1).min().item()
        self.distance: dict[str, float] = {}
        self.found: dict[str, frozenset[str]] = {}
        self.known = {*names, *others}

    def look(self, prompts: Iterable[str]) -> None:
        """Ask for what was not tried before, holds no find, and is no concept's name."""
        new = [x for x in dict.fromkeys(prompts) if x not in self.distance and x not in self.known]
        new = [x for x in new if not self._holds_a_find(x)]
        if not new:
            return
        answers = self._ask(new)
        own = (answers - self.middle).square().mean(1)
        other = torch.cdist(answers, self.others).square().amin(1) / answers.shape[1]
        near = torch.where(own < other, own, torch.inf)
        self.distance |= dict(zip(new, near.tolist(), strict=True))
        # few words first: they make longer ones superfluous
        for prompt in sorted(new, key=lambda x: (x.count(" "), self.distance[x])):
            if self.distance[prompt] <= self.limit and not self._holds_a_find(prompt):
                self.found[prompt] = frozenset(prompt.split())

    def nearest(self, count: int) -> list[str]:
        """The nearest, but for those that a find made superfluous."""
        near = sorted(
            (x for x, far in self.distance.items() if far < torch.inf), key=self.distance.__getitem__
        )
        # one by one, for few of the thousands are wanted
        return list(islice((x for x in near if x in self.found or not self._holds_a_find(x)), count))

    def smallest(self) -> list[str]:
        """Finds that hold no other find, not even a later one."""
        return [x for x, own in self.found.items() if not any(y < own for y in self.found.values())]

    def _ask(self, names: Sequence[str]) -> Tensor:
        prompts = [f"a {name}" for name in names]
        return torch.cat([self.encode(prompts[i : i + _CHUNK]) for i in range(0, len(prompts), _CHUNK)])

    def _holds_a_find(self, prompt: str) -> bool:
        own = set(prompt.split())
        return any(found <= own for found in self.found.values())


def _changed(prompt: str, words: Sequence[str], rng: random.Random) -> str:
    """``prompt`` with one word replaced, put in or left out."""
    found, way = prompt.split(), rng.choice(("replace", "put in", "leave out"))
    if way == "replace":
        found[rng.randrange(len(found))] = rng.choice(words)
    elif way == "put in" and len(found) < LONGEST:
        found.insert(rng.randrange(len(found) + 1), rng.choice(words))
    elif way == "leave out" and len(found) > 1:
        found.pop(rng.randrange(len(found)))
    return " ".join(found)
