"""How many rows each name gets where many are redacted together, so that time and memory stay within bounds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from redact_core import Lesson, RedactError
from redact_core.support.whole_numbers import WholeNumbers

MOST_ROWS = 4096
"""Twice as many as are retained by default: a redaction of many names then takes at most three times as long as one of one."""

MISSPELLINGS = 96
"""A name of seven letters has about forty misspellings of one slip."""


@dataclass(frozen=True)
class PromptRows(WholeNumbers):
    """How many rows a request becomes.

    Args:
        per_name: Random compositions for each name, beside one plain row for each wording.
        random_wordings: Rows of each style in wordings of random words.
        misspellings: Rows of each style with its name misspelt, where ``most_rows`` leaves room.
        most_rows: Of our own making that are redacted. Where names are so many that ``per_name`` would make more, each gets
            fewer, down to one.

    Raises:
        RedactError: ``most_rows`` is below 1, or another number below 0.
    """

    per_name: int = 30
    random_wordings: int = 0
    misspellings: int = MISSPELLINGS
    most_rows: int = MOST_ROWS

    def __post_init__(self) -> None:
        for name in ("per_name", "random_wordings", "misspellings"):
            if getattr(self, name) < 0:
                raise RedactError(f"{name} is {getattr(self, name)}; give at least 0.")
        if self.most_rows < 1:
            raise RedactError(f"most_rows is {self.most_rows}; give at least 1.")


@dataclass(frozen=True)
class Share:
    """What each entry of a request may have."""

    per_name: int
    """Random compositions for each name."""
    each: int | None
    """Most rows of an entry; ``None``: all of them."""
    seed: int = 0
    room: int = 0
    """Rows that are left of the bound, for what matters least."""

    def cut(self, rows: list[Lesson], place: int) -> list[Lesson]:
        """``each`` of the rows of the entry at ``place``, drawn by the seed, in their order."""
        if self.each is None or len(rows) <= self.each:
            return rows
        drawn = random.Random(f"share:{self.seed}:{place}").sample(range(len(rows)), self.each)
        return [rows[i] for i in sorted(drawn)]

    def remark(self, asked: int, entries: int) -> str | None:
        """What an owner should know, where less than ``asked`` for a name is made."""
        if self.each is not None:
            return f"{entries} names are redacted together, so each has only {self.each} redacted prompts of our own making."
        if self.per_name < asked:
            return (
                f"{entries} names are redacted together, so each has only {self.per_name} random compositions and not "
                f"{asked}; most_rows raises that, for longer preparation."
            )
        return None


def share(sizes: Sequence[tuple[int, int]], per_name: int, most: int, seed: int) -> Share:
    """The largest share with which no more than ``most`` rows are redacted, or one row an entry.

    Args:
        sizes: Of each entry, its plain rows, and its random compositions for each of ``per_name``.
        per_name: Random compositions that are wanted for each name.
        most: Rows in all.
        seed: Of what is drawn.
    """
    plain, drawn = sum(a for a, _ in sizes), sum(b for _, b in sizes)
    if plain + drawn * per_name <= most:
        return Share(per_name, None, room=most - plain - drawn * per_name)
    if plain > most:
        return Share(0, max(1, most // len(sizes)), seed)
    return Share((most - plain) // drawn, None)
