"""The rows that say a name and nothing else: what published methods that take names, not prompts, work on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from redact_core.types import Lesson


def bare_rows(lessons: Sequence[Lesson]) -> tuple[list[Lesson], list[Lesson]]:
    """Redacted and retained rows that hold no other row of their group: ``cigarette``, not ``a small cigarette``.

    Conditions that are no texts of several words, such as clips, are all bare.

    Returns:
        Redacted ones, retained ones, in their order.
    """
    groups = [[row for row in lessons if row.redacted is gone] for gone in (True, False)]
    gone, kept = (_bare(group) for group in groups)
    return gone, kept


def _bare(rows: Sequence[Lesson]) -> list[Lesson]:
    known = {_words(row) for row in rows}
    return [row for row in rows if not _holds_another(_words(row), known)]


def _words(row: Lesson) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", str(row.asked).lower()))


def _holds_another(words: tuple[str, ...], known: set[tuple[str, ...]]) -> bool:
    """Whether a shorter run of ``words`` is known; the empty text is in all and does not count."""
    return any(words[i : i + n] in known for n in range(1, len(words)) for i in range(len(words) - n + 1))
