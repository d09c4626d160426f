"""Writing folders that are either whole or absent, and the hashes of what is in them."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from redact_core.errors import RedactError
from redact_core.support.locks import alone, is_left_behind, lock_of, release
from redact_core.support.paths import at_home

_TRIED = ".redact-try-"
_RESUME = "then run again"


def check_target(target: Path) -> None:
    """Refuse early what :func:`new_folder` would refuse after hours of training.

    Raises:
        RedactError: ``target`` exists, or its parent is not a folder one can write to.
    """
    target = at_home(target)
    try:
        there = target.exists() or target.is_symlink()
    except OSError as error:  # longer than a name may be
        raise RedactError(
            f"{str(target)[:80]}... cannot be made ({error.strerror}); give another path."
        ) from error
    if there:
        raise RedactError(f"{target} exists; nothing is overwritten. Give another folder or remove it.")
    _check_parent(target, target.absolute().parent)


def check_writable(folder: Path) -> None:
    """Refuse a folder, there already or not, that nothing could be written into.

    Raises:
        RedactError: See above.
    """
    _check_parent(folder, folder.absolute())


def _check_parent(target: Path, parent: Path) -> None:
    """``parent``, or the nearest folder above it that exists, takes new files."""
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise RedactError(f"{parent} is not a folder, so {target} cannot be made; give another path.")
    try:
        # tried, not asked for: rights say nothing of a mount that is read only
        tried = Path(tempfile.mkdtemp(prefix=_TRIED, dir=parent))
        for left in (tried, *parent.glob(f"{_TRIED}*")):  # those of killed processes as well
            with suppress(OSError):
                left.rmdir()
    except OSError as error:
        raise RedactError(
            f"{parent} cannot be written to ({error.strerror}), so {target} cannot be made; give another path."
        ) from error


def check_space(target: Path, files: Iterable[Path]) -> None:
    """Refuse early what would not fit on the disk: a copy of ``files``.

    Raises:
        RedactError: There is less free space where ``target`` will be than they take.
    """
    parent = target.absolute().parent
    while not parent.exists():
        parent = parent.parent
    needed = sum(path.stat().st_size for path in files if path.is_file())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise RedactError(
            f"The disk is full: {target} takes {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free. "
            "Free space or give a folder on another disk."
        )


@contextmanager
def new_folder(target: Path, advice: str = _RESUME) -> Generator[Path]:
    """A temporary folder beside ``target`` that takes its name if the block ends well.

    Whatever goes wrong inside, nothing is left behind and ``target`` does not appear. What a killed process has
    left of the same target is removed; a living one's is not, which its lock tells.

    Args:
        target: Must not exist.
        advice: What to do once there is room, for the messages.

    Raises:
        RedactError: ``target`` exists or cannot be made, or the disk is full.
    """
    target = at_home(target)
    check_target(target)
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        part, lock = _new_part(target.absolute())
    except OSError as error:
        raise RedactError(f"{target} cannot be made ({error.strerror}); give another path.") from error
    try:
        yield part
        part.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        part.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise RedactError(
                f"The disk is full: {target} was not written and nothing was left behind. "
                f"Free space, {advice}."
            ) from error
        raise RedactError(
            f"{target} was not written ({_reason(error)}) and nothing was left behind; mend that or give another "
            f"path, {advice}."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        release(lock)


def _new_part(target: Path) -> tuple[Path, int | None]:
    """A temporary folder beside ``target``, and its lock, which lasts as long as this process."""
    with alone(target.parent):  # a folder that is made here is locked before others look at it
        _clear(target)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.part-", dir=target.parent))
        return part, lock_of(part)


def _clear(target: Path) -> None:
    """Remove what killed processes have left of a ``target`` that they were writing."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.part-*"):
        if not left.is_symlink() and is_left_behind(left):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> dict[str, Path]:
    """Relative name -> file, in order, without hidden folders such as a clone's history."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts[:-1]):
            found[name.as_posix()] = path
    return found


def hashes(folder: Path) -> dict[str, str]:
    """Relative POSIX name -> SHA-256 of every file below ``folder``, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """A temporary file beside ``path`` that takes its name once all is on the disk.

    A reader sees the old file or the new one. Raises the operating system's error; nothing is left
    behind then. What a killed process has left of the same file is removed.
    """
    path = path.absolute()
    part, lock = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}"), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.parent):  # a file that is made here is locked before others look at it
            _clear(path)
            part.touch(exist_ok=False)
            lock = lock_of(part)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()
        release(lock)


def write_once(path: Path, data: bytes) -> None:
    """:func:`write_whole` of a file that is not there yet.

    Raises:
        RedactError: ``path`` exists or cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise RedactError(f"{path} exists; nothing is overwritten. Give another file or remove it.")
    try:
        write_whole(path, data)
    except OSError as error:
        raise RedactError(
            f"{path} was not written ({error.strerror}) and nothing was left behind; "
            "free space or give another path."
        ) from error
