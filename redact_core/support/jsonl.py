"""Files of JSON lines that survive a kill: appended line by line, read without what was cut off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from redact_core.errors import RedactError
from redact_core.support.folders import write_whole
from redact_core.support.locks import try_lock
from redact_core.support.strict_json import without_nan


class LineWriter:
    """Appends to a file that no other process may append to at the same time.

    Args:
        path: Made if missing; a last line that a kill has cut off is removed.

    Raises:
        RedactError: Another process writes the file.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        if try_lock(self._file.fileno()) is False:
            self._file.close()
            raise RedactError(f"{path} is being written by another process; wait for it or stop it.")
        self._file.seek(0)
        whole = self._file.read()
        self._file.truncate(whole.rfind(b"\n") + 1)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the rows with one call, so that a kill cuts at most the last of them."""
        self._file.write(b"".join(line(row) for row in rows))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def line(row: Mapping[str, Any]) -> bytes:
    """One line of JSON; ``nan`` is written as ``null``, which every reader knows."""
    text = json.dumps(without_nan(row), ensure_ascii=False, allow_nan=False)
    # a file name that is not Unicode holds letters that UTF-8 has no bytes for
    return (text + "\n").encode("utf-8", "backslashreplace")


def read_lines(path: Path, *, cut: str | None = None) -> list[dict[str, Any]]:
    """The objects of a file, none if it is missing; a last line without its end is left out.

    Args:
        path: Of lines that :func:`line` wrote.
        cut: Refuse a last line without its end, and advise this.

    Raises:
        RedactError: The file cannot be read or, where ``cut`` says so, is cut off, or a line is damaged.
    """
    return list(_lines(path, cut))


def first_line(path: Path) -> dict[str, Any] | None:
    """The first object of a file, without reading the rest; ``None`` if the file is missing or its first line has no end.

    Raises:
        RedactError: The file cannot be read, or the line is damaged.
    """
    return next(_lines(path), None)


def _lines(path: Path, cut: str | None = None) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    if cut is not None:
                        raise RedactError(f"{path} is cut off; {cut}.")
                    return
                yield _object(path, number, text)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RedactError(f"{path} cannot be read ({error.strerror}); give another folder.") from error


def _object(path: Path, number: int, text: bytes) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise RedactError(f"{path} line {number} is damaged ({error}); restore the file.") from error
    if not isinstance(row, dict):
        raise RedactError(f"{path} line {number} is no JSON object; restore the file.")
    return row


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path`` and rename: a reader sees the old file or the new one."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise RedactError(
            f"{path} was not written ({error.strerror}); free space or give another path."
        ) from error
