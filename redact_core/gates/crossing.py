"""Conditions that are texts: names of what stays, in the wordings of what is redacted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import takewhile

_MARKS = ",.:;!?"
_Wording = tuple[tuple[str, ...], str, tuple[str, ...]]
"""Words before the name, the mark behind it, words after it."""


def crossed(rows: Sequence[tuple[str, str]], kept: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """New texts that say of something else what redacted texts say.

    A wording is what a redacted text and its answer share at the beginning and at the end. A name is the longest
    run of words of a kept text that stand in no wording.

    Args:
        rows: Redacted texts, each with its answer.
        kept: Texts whose names are taken.
        count: How many are drawn; double ones count once.
        seed: Of the drawing.

    >>> crossed([("a red cat, drawn", "a red dog, drawn")], ["a fox, drawn"], 3)
    ['a red fox, drawn']
    """
    wordings = [_wording(asked.split(), answer.split()) for asked, answer in rows]
    common = {word.strip(_MARKS) for before, _, after in wordings for word in (*before, *after)}
    found = (_name(text.split(), common) for text in kept)
    names = list(dict.fromkeys(name for name in found if name))
    if not wordings or not names:
        return []
    rng, texts = random.Random(seed), []
    for _ in range(count):
        before, mark, after = rng.choice(wordings)
        texts.append(" ".join((*before, rng.choice(names) + mark, *after)))
    return list(dict.fromkeys(texts))


def _wording(asked: list[str], answer: list[str]) -> _Wording:
    first = _shared(asked, answer)
    last = _shared(asked[first:][::-1], answer[first:][::-1])
    end = len(asked) - last
    name = " ".join(asked[first:end])
    return tuple(asked[:first]), name[len(name.rstrip(_MARKS)) :], tuple(asked[end:])


def _shared(one: list[str], other: list[str]) -> int:
    """How many first words agree; marks behind a word count for nothing."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _name(words: list[str], common: set[str]) -> str:
    """The longest run of words that are not common, or an empty string; marks end a run."""
    runs: list[list[str]] = [[]]
    for word in words:
        bare = word.strip(_MARKS)
        if bare in common:
            runs.append([])
            continue
        runs[-1].append(bare)
        if word != bare:
            runs.append([])
    return " ".join(max(runs, key=len))
