"""What commands print for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def say(text: str) -> None:
    """One line, at once."""
    print(text)  # noqa: T201
    sys.stdout.flush()


def say_columns(lines: Sequence[Sequence[str]]) -> None:
    """Cells below one another, the first line being the headings."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
