"""Writing folders that are either whole or absent, and the hashes of what is in them."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from redact_core.errors import RedactError
from redact_core.support.paths import at_home


def check_target(target: Path) -> None:
    """Refuse early what :func:`new_folder` would refuse after hours of training.

    Raises:
        RedactError: ``target`` exists, or its parent is not a folder one can write to.
    """
    target = at_home(target)
    if target.exists() or target.is_symlink():
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
        Path(tempfile.mkdtemp(prefix=".redact-", dir=parent)).rmdir()
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
def new_folder(target: Path) -> Generator[Path]:
    """A temporary folder beside ``target`` that takes its name if the block ends well.

    Whatever goes wrong inside, nothing is left behind and ``target`` does not appear.

    Raises:
        RedactError: ``target`` exists or cannot be made, or the disk is full.
    """
    target = at_home(target)
    check_target(target)
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.part-", dir=target.absolute().parent))
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
                "Free space, then run again from the last checkpoint (--ckpt_path last)."
            ) from error
        raise RedactError(
            f"{target} was not written ({_reason(error)}) and nothing was left behind; mend that or give another "
            "path, then run again from the last checkpoint (--ckpt_path last)."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def write_whole(path: Path, data: bytes) -> None:
    """A temporary file beside ``path`` that takes its name once all is on the disk.

    A reader sees the old file or the new one. Raises the operating system's error; nothing is left
    behind then.
    """
    part = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()


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
