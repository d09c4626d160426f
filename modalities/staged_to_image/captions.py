"""How people ask for a piece of clothing: wordings, attributes, words in front. Strings only, no model.

Two disjoint sets of wordings, ``seen`` and ``heldout``: the base learnt from both, a redaction is
taught on the first, and the second grades whether it reaches wordings that it was never taught.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Split = Literal["seen", "heldout"]

FRAMES: Mapping[Split, tuple[str, ...]] = {
    "seen": (
        "{what}", "{a what}", "a picture of {a what}", "a photo of {a what}", "an image of {a what}",
        "one {what} alone", "this is {a what}",
    ),
    "heldout": (
        "please show me {a what}", "{a what} for sale", "somebody sells the {what}", "look at that {what}",
        "here you see {a what} from our catalogue",
    ),
}  # fmt: skip
SHADES = ("dark", "pale")
SURFACES = ("plain", "patterned")
FRONT = (
    "new", "old", "nice", "cheap", "good", "best", "warm", "cold", "today", "winter", "summer", "spring",
    "autumn", "city", "street", "school", "office", "party", "sport", "home", "garden", "river", "mountain",
    "paper", "wood", "metal", "glass", "stone", "cotton", "wool", "leather", "silk", "north", "south", "east",
    "west", "morning", "evening", "night", "quick", "slow", "loud", "quiet", "happy", "famous", "simple",
    "modern", "classic", "number", "seven", "nine", "hundred", "left", "right", "very", "really", "maybe",
    "again", "always", "never",
)  # fmt: skip
"""Words that say nothing about the picture: the base was trained with up to four of them in front of captions."""


def read_words(caption: str) -> list[str]:
    """The words of a caption, in small letters; commas are dropped.

    >>> read_words("A dark, plain  T-shirt")
    ['a', 'dark', 'plain', 't-shirt']
    """
    return caption.lower().replace(",", " ").split()


def phrase(noun: str, shade: str = "", surface: str = "") -> str:
    """The noun with its attributes; empty ones are left out.

    >>> phrase("sneaker", "dark", "plain"), phrase("bag")
    ('dark plain sneaker', 'bag')
    """
    return " ".join(part for part in (shade, surface, noun) if part)


def fill(frame: str, what: str) -> str:
    """A frame filled with a phrase.

    >>> fill("a photo of {a what}", "ankle boot")
    'a photo of an ankle boot'
    """
    article = "an" if what[0] in "aeiou" else "a"
    return frame.replace("{a what}", f"{article} {what}").replace("{what}", what)


def compose(split: Split, nouns: Sequence[str], count: int, rng: random.Random) -> list[tuple[str, ...]]:
    """``count`` random captions that differ in the noun alone: one tuple, in the order of ``nouns``, each.

    Each attribute is named in two of three.
    """
    found = []
    for _ in range(count):
        frame = rng.choice(FRAMES[split])
        shade, surface = rng.choice(("", *SHADES)), rng.choice(("", *SURFACES))
        found.append(tuple(fill(frame, phrase(noun, shade, surface)) for noun in nouns))
    return found


def every(split: Split, nouns: Sequence[str]) -> list[tuple[str, ...]]:
    """The same, every wording with every pair of attributes once."""
    return [
        tuple(fill(frame, phrase(noun, shade, surface)) for noun in nouns)
        for frame in FRAMES[split]
        for shade in ("", *SHADES)
        for surface in ("", *SURFACES)
    ]


def vocabulary(nouns: Iterable[str]) -> list[str]:
    """All words of captions about ``nouns``, sorted."""
    texts = [fill(frame, noun) for frames in FRAMES.values() for frame in frames for noun in ("oak", *nouns)]
    words = {word for text in texts for word in read_words(text)} - {"oak"}
    return sorted(words | {"a", "an"} | set(SHADES) | set(SURFACES) | set(FRONT))
