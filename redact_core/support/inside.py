"""Names of files that come from others: they may lead nowhere but into the folder they came with.

A folder of the hub's cache holds links only: a link into the store of the same repository counts as the file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from redact_core.errors import RedactError


def relative(name: object, what: str) -> str:
    """``name`` if it can only lead further down; links are not looked at.

    Args:
        name: Relative, with ``/`` between its parts.
        what: Where the name stands, for the message.

    Raises:
        RedactError: It is no text, is absolute, or has a part ``..``.
    """
    if not isinstance(name, str) or not name or set(name) & set("\\\0"):
        raise RedactError(f"{what} names the file {name!r:.80}; a relative path with / was expected.")
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise RedactError(
            f"{what} names the file {name!r:.80}, which lies outside its folder; do not use this folder."
        )
    return name


def inside(folder: Path, name: object, what: str) -> Path:
    """The file ``name`` of ``folder``, whether or not it is there; as :func:`relative`, and no link leads out.

    Raises:
        RedactError: The name leads out of the folder.
    """
    path = folder / relative(name, what)
    if not _within(path, folder):
        raise RedactError(f"{what} names {name}, a link that leads out of {folder}; do not use this folder.")
    return path


def links_out(folder: Path) -> list[Path]:
    """Symbolic links below ``folder`` that lead out of it; links to folders are not followed."""
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:  # a folder that may not be read is said where it is read
            continue
        for entry in entries:
            if entry.is_symlink():
                found += [] if _within(Path(entry.path), folder) else [Path(entry.path)]
            elif entry.is_dir():
                waiting.append(Path(entry.path))
    return sorted(found)


def no_files(folder: Path) -> list[Path]:
    """Pipes, sockets and devices below ``folder``: to read one may wait for ever. Links to folders are not followed."""
    found: list[Path] = []
    for home, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(home, name)
            try:
                kind = path.stat().st_mode
            except OSError:  # a link that leads nowhere
                continue
            found += [] if stat.S_ISREG(kind) or stat.S_ISDIR(kind) else [path]
    return sorted(found)


def check_files(folder: Path) -> None:
    """Refuse a folder with :func:`no_files`.

    Raises:
        RedactError: Names the first.
    """
    for path in no_files(folder):
        raise RedactError(f"{path} is a pipe, socket or device; put the file itself there.")


def is_name(text: object) -> bool:
    """Whether ``text`` can be the name of one file or folder, without leading anywhere else."""
    return isinstance(text, str) and text not in {"", ".", ".."} and not set(text) & set("/\\\0")


def _within(path: Path, folder: Path) -> bool:
    """Whether ``path`` leads into ``folder``, or to its part of the hub's store, which is as good as a file of it."""
    try:
        found, home = path.resolve(), folder.resolve()
        return found.is_relative_to(home) or found.parent == _store(home)
    except (OSError, RuntimeError):  # a circle of links
        return False


def _store(folder: Path) -> Path | None:
    """Where a snapshot of the hub's cache keeps its files; ``None`` for other folders.

    ``models--owner--name/snapshots/REVISION`` holds links into ``models--owner--name/blobs``.
    """
    for place in (folder, *folder.parents):
        if place.parent.name == "snapshots":
            return place.parent.parent / "blobs"
    return None
