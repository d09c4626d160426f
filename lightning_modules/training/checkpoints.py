"""Checkpoints that training is taken up from: refused in one line where they cannot be."""

from __future__ import annotations

import shutil
import traceback
import zipfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from lightning_modules.support.mishaps import reason
from redact_core import RedactError

_RESTORES = "checkpoint_connector.py"
"""Of Lightning: reads checkpoints and gives every part its state."""


KEPT = "redact"
"""Where a checkpoint keeps what it belongs to."""


def check_checkpoint(path: str | Path | None) -> None:
    """Refuse what cannot be resumed from, before anything is loaded.

    Args:
        path: A file; ``last`` and the trainer's other words for its own are left to it.

    Raises:
        RedactError: There is no such file, it is damaged, or no checkpoint of redact; or ``best`` is wanted.
    """
    if path is None or str(path) in ("last", "hpc") or str(path).startswith("registry:"):
        return
    if str(path) == "best":
        raise RedactError(
            "--ckpt_path best names nothing, for no measure is watched; give last or the file of a checkpoint."
        )
    path = Path(path)
    if not path.is_file():
        raise RedactError(f"There is no checkpoint {path}; give last or the file of a checkpoint.")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive of PyTorch")
        # mapped: only what is looked at is read
        found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # noqa: TID251 ours
    except Exception as error:  # zip, unpickling and operating system alike
        raise RedactError(
            f"{path} cannot be read as a checkpoint ({reason(error)}); it is damaged or something else. "
            "Give another one, or start anew."
        ) from error
    if not isinstance(found, dict) or KEPT not in found:
        raise RedactError(
            f"{path} is no checkpoint of redact; give one that redact fit wrote, or start anew."
        )


@contextmanager
def resuming() -> Generator[None]:
    """Around the training: what fails while a checkpoint is restored is the checkpoint's fault.

    Raises:
        RedactError: It cannot be read, or does not fit.
    """
    try:
        yield
    except Exception as error:
        places = (frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__))
        if isinstance(error, RedactError) or not any(place.endswith(_RESTORES) for place in places):
            raise
        raise RedactError(
            f"The checkpoint cannot be resumed from ({type(error).__name__}: {reason(error)}); it is damaged "
            "or of a training with other options. Start anew without it."
        ) from error


@contextmanager
def nothing_left(folder: Path) -> Generator[None]:
    """Around a run with this folder for its logs and checkpoints: a refused run leaves none, but for checkpoints."""
    missing = [place for place in (folder, *folder.absolute().parents) if not place.exists()]
    try:
        yield
    except RedactError:
        if missing and not any(folder.rglob("*.ckpt")):
            shutil.rmtree(folder, ignore_errors=True)
            for place in missing[1:]:
                with suppress(OSError):
                    place.rmdir()  # only where it is empty
        raise
