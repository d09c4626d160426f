"""What commands print for people."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, changes its title, or turns the direction of the text."""


def printable(text: str) -> str:
    """``text`` without control characters: names and cards may come from others."""
    return _CONTROLS.sub("\ufffd", text)


def say(text: str) -> None:
    """One line, at once."""
    print(printable(text))  # noqa: T201
    sys.stdout.flush()


def say_columns(lines: Sequence[Sequence[str]]) -> None:
    """Cells below one another, the first line being the headings."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
