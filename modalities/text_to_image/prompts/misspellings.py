"""Names as people misspell them: a slip of the finger, a wrong key, letters that look alike, blanks within a word."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Literal, get_args

Slip = Literal["typo", "key", "homoglyph", "spacing"]
"""``typo``: a letter is left out, doubled or swapped with the next; ``key``: the key beside the right one; ``homoglyph``: a
Cyrillic letter that looks like the Latin one; ``spacing``: a blank within the word."""
SLIPS: tuple[Slip, ...] = get_args(Slip)

# Cyrillic letters that look like Latin ones
_ALIKE = {"a": "а", "c": "с", "e": "е", "i": "і", "o": "о", "p": "р", "s": "ѕ", "x": "х", "y": "у"}
_ROWS = "qwertyuiop", "asdfghjkl", "zxcvbnm"
_BESIDE = {
    letter: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _ROWS for i, letter in enumerate(row)
}
"""Letters -> those of the keys left and right of it."""


def slips_at(text: str, place: int, kind: Slip) -> list[str]:
    """What one slip of a kind makes of ``text`` at the letter ``place``; nothing, if there is none."""
    before, letter, after = text[:place], text[place], text[place + 1 :]
    if kind == "homoglyph":
        return [before + _ALIKE[letter] + after] if letter in _ALIKE else []
    if kind == "key":
        return [before + other + after for other in _BESIDE.get(letter, "")]
    if not (letter.isalpha() and after[:1].isalpha()):
        return []
    if kind == "spacing":
        return [f"{before}{letter} {after}"]
    swapped = [before + after[0] + letter + after[1:]] if letter != after[0] else []
    return [before + after, before + letter + letter + after, *swapped]


def misspelt(text: str, kind: Slip, rng: random.Random, slips: int = 1) -> str:
    """``text`` with so many misspellings of a kind; never the text itself, unless it is a single letter.

    >>> misspelt("cat", "homoglyph", random.Random(0)) == "cat"
    False
    """
    given = text
    for _ in range(slips):
        places = [some for i in range(len(text)) if (some := slips_at(text, i, kind))]
        some = [slip for slip in rng.choice(places) if slip != given] if places else []
        # where there is one, nothing is drawn
        text = rng.choice(some) if len(some) > 1 else (some or [text + text[-1:]])[0]
    return text


def misspellings(name: str, known: Collection[str]) -> list[str]:
    """All that one slip of any kind makes of a name, each once, without what is a word of its own.

    >>> misspellings("cat", {"act", "at"})[:4]
    ['ccat', 'ct', 'caat', 'cta']

    Args:
        name: As it is usually written.
        known: Lower-case words and names that mean something else.
    """
    slips = [slip for kind in SLIPS for i in range(len(name)) for slip in slips_at(name, i, kind)]
    return [slip for slip in dict.fromkeys(slips) if slip.lower() not in known]
