"""Paths as a person writes them: ``~`` is the home folder, in every option alike."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from redact_core.errors import RedactError


def at_home(path: str | os.PathLike[str]) -> Path:
    """``path`` with ``~`` or ``~name`` at its beginning replaced by the home folder; nothing else is expanded.

    Args:
        path: As it was given; a folder that is really called ``~`` is written with its whole path.

    Raises:
        RedactError: There is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise RedactError(
            f"{path}: there is no user of that name; write the whole path of a file whose name begins with ~."
        ) from error


def as_file(path: str | os.PathLike[str]) -> Path:
    """:func:`at_home` of a file that is about to be read; what the shell hands over (``/dev/stdin``) counts as one.

    Raises:
        RedactError: It is a pipe, socket or device, which may never end.
    """
    found = at_home(path)
    handed = str(found).startswith(("/dev/stdin", "/dev/fd/", "/proc/self/fd/"))
    try:
        kind = found.stat().st_mode
    except (OSError, ValueError):  # said by whoever opens it
        return found
    if not (handed or stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise RedactError(f"{found} is a pipe, socket or device; give a file.")
    return found
