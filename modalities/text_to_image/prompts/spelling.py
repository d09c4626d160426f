"""Words in a prompt, however they are spelt: letter case, look-alike letters, blanks between letters, a slip of the pen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_LOOK_ALIKES = str.maketrans(
    "асеорхуіѕјһԛԝкмтвнαοντικρε0134578@$!|",
    "aceopxyisjhqwkmtbhaovtikpeoleastbasil",
)
"""Cyrillic, Greek and figures -> the letter that they are taken for."""
_PART = re.compile(r"\w+")
LONG = 5
"""Letters from which on one slip is allowed: of shorter words, others are too near."""


def plain(text: str) -> str:
    """``text`` in small letters without accents, look-alikes written as what they look like; as many characters.

    >>> plain("Сigаrétte")
    'cigarette'
    """
    return "".join(_plain_letter(letter) for letter in text)


def _plain_letter(letter: str) -> str:
    small = unicodedata.normalize("NFKD", letter).casefold()
    kept = "".join(part for part in small if not unicodedata.combining(part)) or " "
    return kept.translate(_LOOK_ALIKES)[:1]


def find(text: str, words: Sequence[str], *, slips: int = 1, allowed: Sequence[str] = ()) -> list[slice]:
    """Where ``text`` says one of ``words``, from left to right and without overlap.

    Runs of parts are read without what stands between them, so that ``c i g a r e t t e`` and ``ciga-rette`` are
    found. An ``s`` or ``es`` at the end does not matter.

    Args:
        text: A prompt.
        words: Names of one or more words.
        slips: Letters that may be left out, added, changed or swapped with the next, in words of :data:`LONG` letters or more.
        allowed: Words that are never taken for one of ``words``, such as carrot where parrot is looked for.
    """
    read = plain(text)
    spans = [match.span() for match in _PART.finditer(read)]
    parts = [read[a:b] for a, b in spans]
    wanted = ["".join(_PART.findall(plain(word))) for word in words]
    fine = {plain(word) for word in allowed}
    longest = max((len(word) for word in wanted), default=0) + 2 + slips
    found: list[slice] = []
    i = 0
    while i < len(parts):
        joined, best = "", None
        for j in range(i, len(parts)):
            joined += parts[j]
            if len(joined) > longest:
                break
            if j == i and joined in fine:
                continue
            # "a cigarette" is one slip from "cigarette", too: what begins later begins there
            late = joined.removeprefix(parts[i])
            if any(_says(joined, word, slips) and not _says(late, word, slips) for word in wanted):
                best = j
                break
        if best is None:
            i += 1
        else:
            found.append(slice(spans[i][0], spans[best][1]))
            i = best + 1
    return found


def _says(text: str, word: str, slips: int) -> bool:
    """Whether ``text``, a run without blanks, is ``word`` or its plural, but for ``slips``."""
    forms = {text, text.removesuffix("s"), text.removesuffix("es")}
    if word in forms:
        return True
    allowed = slips if len(word) >= LONG else 0
    return allowed > 0 and any(slips_between(form, word) <= allowed for form in forms)


def slips_between(a: str, b: str) -> int:
    """Letters to leave out, add, change, or swap with the next (the optimal string alignment distance)."""
    above: list[int] = []
    line = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            best = min(line[j] + 1, new[j - 1] + 1, line[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                best = min(best, above[j - 2] + 1)
            new.append(best)
        above, line = line, new
    return line[-1]
