"""Paths as a person writes them: ``~`` is the home folder, in every option alike."""

from __future__ import annotations

import os
from pathlib import Path

from redact_core.errors import RedactError


def at_home(path: str | os.PathLike[str]) -> Path:
    """``path`` with ``~`` or ``~name`` at its beginning replaced by the home folder; nothing else is expanded.

    Args:
        path: As it was given; a folder that is really called ``~`` is written ``./~``.

    Raises:
        RedactError: There is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise RedactError(
            f"{path}: there is no user of that name; write ./{path} for a file that begins with ~."
        ) from error
