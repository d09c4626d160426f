"""Standard streams that may lose their reader, as in ``redact ls | head``, or that cannot write every letter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


@contextmanager
def closed_pipes_allowed() -> Iterator[None]:
    """Within the block, what nobody reads any more is thrown away and the work goes on.

    A command's status then tells of its work, not of its reader: a fit whose log was cut off by
    ``head`` still writes its folder, and ``card`` still says by its status that a file was altered.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Stream(sys.stdout), _Stream(sys.stderr)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout.flush()  # what is still buffered must not fail when the interpreter ends
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


class _Stream:
    """A text stream whose descriptor becomes the null device once its reader has gone.

    Letters that the terminal's encoding lacks are written as question marks.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:  # a question mark in a name is better than no answer
            known = self._stream.encoding
            return self._stream.write(text.encode(known, "replace").decode(known))
        except BrokenPipeError:
            self._let_go()
            return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._let_go()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _let_go(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
