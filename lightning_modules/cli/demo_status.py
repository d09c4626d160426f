"""What the processes of ``redact demo`` are doing, read from the bars in their logs, as one line of a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

_BAR = re.compile(r"(?P<done>\d+)/(?P<all>\d+) \[[^\]]*?, +(?P<rate>[\d.]+\S*?)[,\]]")
"""What tqdm writes behind its bar, once it knows a rate."""
_TAIL = 2000


def progress(log: Path) -> str:
    """The last bar of a log as ``120/220, 3.1step/s``; empty where there is none yet."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    found = list(_BAR.finditer(text))
    if not found:
        return ""
    last = found[-1]
    return f"{last['done']}/{last['all']}, {last['rate']}"


class Status:
    """A line that is written again and again where people look, and never into a file."""

    def __init__(self) -> None:
        self._shown = sys.stdout.isatty()

    def show(self, seconds: float, doing: Mapping[str, Path]) -> None:
        """Write what is being done.

        Args:
            seconds: Since the beginning.
            doing: What is being done, in words -> its log.
        """
        if not self._shown:
            return
        parts = [f"{what} {progress(log)}".rstrip() for what, log in doing.items()]
        self._write(f"{seconds:4.0f} s  {' | '.join(parts)}")

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self._shown:
            self._write("")

    def _write(self, line: str) -> None:
        # to the beginning of the line, and everything behind the new text away
        sys.stdout.write(f"\r\x1b[K{line[:118]}")
        sys.stdout.flush()
