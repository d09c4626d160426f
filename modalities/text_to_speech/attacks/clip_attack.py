"""Attacks whose attempts are clips: they are written as files, to be replayed on any model."""

from __future__ import annotations

import atexit
import hashlib
import io
import shutil
import tempfile
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

import soundfile
from torch import Tensor

from modalities.sound.clips import RATE
from modalities.text_to_speech.attacks.voice_attack import VoiceAttack
from redact_core import RedactError
from redact_core.support.folders import write_whole
from redact_core.support.paths import at_home


def known_changes(changes: Sequence[str], known: Collection[str]) -> None:
    """Refuse changes that there are not.

    Raises:
        RedactError: One of ``changes`` is not ``known``; the message lists these.
    """
    for name in changes:
        if name not in known:
            raise RedactError(f'There is no change "{name}"; give some of: {", ".join(known)}.')


class ClipAttack(VoiceAttack):
    """Base of attacks that make clips.

    Args:
        folder: Where the clips are written; default: a temporary one that lives as long as the process,
            since attempts are asked after the attack.
    """

    def __init__(self, folder: Path | None = None):
        self._folder = None if folder is None else at_home(folder)

    @cached_property
    def folder(self) -> Path:
        """Where the clips are."""
        if self._folder is not None:
            return self._folder
        folder = Path(tempfile.mkdtemp(prefix="redact-attack-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def write(self, row: int, what: str, wave: Tensor) -> Path:
        """Write ``wave (samples,)`` at 16 kHz as 32-bit floats, so that not a bit is lost; return its path.

        The name holds the row, what was done, and a hash: another sound never takes a path that was read.
        """
        file = io.BytesIO()
        soundfile.write(file, wave.detach().cpu().float().numpy(), RATE, format="WAV", subtype="FLOAT")
        data = file.getvalue()
        digest = hashlib.sha256(data).hexdigest()[:8]
        path = self.folder / f"{row:04d}-{what.replace(' ', '_')}-{digest}.wav"
        write_whole(path, data)
        return path
