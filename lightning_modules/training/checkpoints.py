"""Checkpoints that training is taken up from: refused in one line where they cannot be."""

from __future__ import annotations

import io
import shutil
import traceback
import zipfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightning_modules.support.mishaps import reason
from redact_core import RedactError
from redact_core.support.folders import write_whole
from redact_core.support.locks import claimed

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
def own_folder(folder: Path) -> Generator[None]:
    """Around a run with this folder for its logs and checkpoints: nobody else may use it meanwhile.

    A refused run leaves no folder that it made, but for checkpoints; no run leaves an empty one.

    Raises:
        RedactError: Another process uses it.
    """
    missing = [place for place in (folder, *folder.absolute().parents) if not place.exists()]
    try:
        with claimed(folder):
            try:
                yield
            except RedactError:  # of a fault, or of someone who stops the run, what is there may help
                if missing and not any(folder.rglob("*.ckpt")):
                    shutil.rmtree(folder, ignore_errors=True)
                raise
    finally:
        for place in missing:
            with suppress(OSError):
                place.rmdir()  # only where it is empty


class LastCheckpoint(ModelCheckpoint):
    """Lightning's checkpoints, and one of the last step before the artefact is written.

    A training that was taken up writes over the checkpoints that the stopped one had written after the one it is
    taken up from: they are the same, and nobody would remove them.
    """

    _taken_up = False

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._taken_up = True

    def file_exists(self, filepath: str | Path, trainer: L.Trainer) -> bool:
        """Whether a file of that name is another one, so that the new one gets a number."""
        return not self._taken_up and super().file_exists(filepath, trainer)

    def keep(self, trainer: L.Trainer) -> None:
        """Save now what was trained since the last checkpoint, for what comes next may fail."""
        if self.save_last and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them.

    Lightning's own are written to the folder for temporary files and copied from there where that is another disk: a
    process that is killed meanwhile leaves half a file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        if "://" in str(path):  # a store of the web; Lightning knows how
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_whole(Path(path), buffer.getbuffer())
