"""Advisory locks: which process writes a file or a folder. A lock ends with its process, even one that is killed."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from redact_core.errors import RedactError

try:
    import fcntl
except ImportError:  # Windows; processes are then not told apart
    fcntl = None

LOCK = ".lock"
"""The file in a folder that says by its lock that a command works there."""


def try_lock(descriptor: int) -> bool | None:
    """Take the lock of an open file or folder, without waiting.

    Returns:
        ``False`` where another process has it, ``None`` where the file system knows no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def lock_of(path: Path) -> int | None:
    """A descriptor of an existing file or folder that holds its lock; ``None`` where there can be none.

    Raises:
        BlockingIOError: Another process has it.
    """
    try:
        # a pipe would otherwise wait for its other end
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    locked = try_lock(descriptor)
    if locked:
        return descriptor
    os.close(descriptor)
    if locked is False:
        raise BlockingIOError(f"{path} is locked")
    return None


def release(descriptor: int | None) -> None:
    """Give back what :func:`lock_of` took."""
    if descriptor is not None:
        os.close(descriptor)


def is_left_behind(path: Path) -> bool:
    """Whether no living process has the lock of ``path``; ``False`` where that cannot be told."""
    try:
        lock = lock_of(path)
    except BlockingIOError:
        return False
    release(lock)
    return lock is not None


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Around a short piece of work on names in ``folder``: other processes wait until it is done."""
    descriptor = None
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks; the work is then done without
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        release(descriptor)


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """``folder`` is made if need be and belongs to this process inside the block; a second one is refused.

    Raises:
        RedactError: Another process works there, or the folder cannot be written to.
    """
    try:
        file = _claim(folder / LOCK)
    except BlockingIOError:
        raise RedactError(
            f"{folder} is in use by another process; wait for it, stop it, or give another folder."
        ) from None
    except OSError as error:
        raise RedactError(
            f"{folder} cannot be written to ({error.strerror}); give another folder."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink()
        os.close(file)


def _claim(path: Path) -> int:
    """A descriptor of the lock file ``path``, which was taken."""
    for _ in range(100):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # whoever had it has just removed the folder
            continue
        try:
            if try_lock(file) is False:
                raise BlockingIOError(f"{path} is locked")
            # whoever had it may have removed the file between the last two calls
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    raise BlockingIOError(f"{path} is removed again and again")
