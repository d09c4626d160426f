"""Reading generated speech back from files, however short or silent it is."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchaudio.functional import resample

from modalities.sound.clips import RATE, read_channels


def read_sound(path: Path) -> Tensor:
    """``(samples,)`` float32 at 16 kHz, the mean of the channels.

    Raises:
        RedactError: The file is no sound or holds no samples.
    """
    samples, rate = read_channels(path)
    wave = torch.from_numpy(samples.mean(1))
    return wave if rate == RATE else resample(wave, rate, RATE)
