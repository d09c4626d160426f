"""Reading generated speech back from files, however short or silent it is."""

from __future__ import annotations

from pathlib import Path

import soundfile
import torch
from torch import Tensor
from torchaudio.functional import resample

from modalities.text_to_speech.clips import RATE
from redact_core import RedactError


def read_sound(path: Path) -> Tensor:
    """``(samples,)`` float32 at 16 kHz, the mean of the channels.

    Raises:
        RedactError: The file is no sound or holds no samples.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (RuntimeError, OSError, TypeError) as error:
        raise RedactError(f"{path}: cannot be read as sound; give a WAV file.") from error
    if not len(samples):
        raise RedactError(f"{path}: holds no samples.")
    wave = torch.from_numpy(samples.mean(1))
    return wave if rate == RATE else resample(wave, rate, RATE)
