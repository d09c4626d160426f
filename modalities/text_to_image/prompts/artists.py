"""What people also call an artist by: the family name."""

from __future__ import annotations

import re
from collections.abc import Collection

_PARTICLES = frozenset(
    {"van", "von", "de", "da", "di", "del", "della", "du", "la", "le", "der", "den", "ter", "ten", "al", "el", "bin"}
)  # fmt: skip
_COMMON = frozenset(
    {"anime", "art", "arts", "book", "cartoon", "cartoons", "comic", "comics", "design", "drawing", "drawings", "film",
     "illustration", "illustrations", "manga", "movie", "painting", "paintings", "photo", "photography", "poster", "print",
     "prints", "punk", "realism", "sketch", "studio", "studios", "style", "wave"}
)  # fmt: skip
"""Last words of styles that are named after no person: alone they mean much else."""


def family_name(name: str, others: Collection[str] = ()) -> str | None:
    """The family name of a person's name with its particles; ``None`` where the name is of one word or of no person.

    Whether it is a person's is told by its capitals.

    >>> family_name("Vincent van Gogh"), family_name("Claude Monet"), family_name("Pop Art"), family_name("flat design")
    ('van Gogh', 'Monet', None, None)

    Args:
        name: As it is usually written.
        others: Names that stay; a family name that one of them holds is not taken.
    """
    words = name.split()
    if len(words) < 2 or not all(word.lower() in _PARTICLES or word[:1].isupper() for word in words):
        return None
    first = len(words) - 1
    while first > 1 and words[first - 1].lower() in _PARTICLES:
        first -= 1
    family = " ".join(words[first:])
    if len(words[-1]) < 3 or not words[-1][:1].isalpha() or words[-1].lower() in _COMMON:
        return None
    whole = re.compile(rf"(?<!\w){re.escape(family.lower())}(?!\w)")
    return None if any(whole.search(other.lower()) for other in others) else family
