"""Reference clips: reading them safely, one rate, one channel."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.functional import resample

from redact_core import RedactError
from redact_core.errors import raise_together

RATE = 16_000
"""Hertz; the rate of SpeechT5 and of SpeechBrain's speaker encoders."""
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"}
SHORTEST_S = 0.5
_told: set[int] = set()


def is_clip(path: Path) -> bool:
    """Does the name look like that of a sound file?"""
    return path.suffix.lower() in SUFFIXES


def clips_in(folder: Path) -> list[Path]:
    """Sound files of a folder, sorted by name; subfolders are not entered."""
    return sorted(path for path in folder.iterdir() if path.is_file() and is_clip(path))


def read_channels(path: Path) -> tuple[NDArray[np.float32], int]:
    """``(samples, channels)`` and the rate, whatever is in the file.

    Raises:
        RedactError: Unreadable or empty.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (RuntimeError, OSError, TypeError) as error:
        raise RedactError(
            f"{path}: cannot be read as sound; give a WAV, FLAC, OGG or MP3 file that plays."
        ) from error
    if not len(samples):
        raise RedactError(f"{path}: holds no samples; record it again or leave it out.")
    return np.asarray(samples, np.float32), rate


@lru_cache(maxsize=4096)
def read_clip(path: Path) -> Tensor:
    """``(samples,)`` float32 at :data:`RATE`, the mean of the channels, as loud as in the file.

    Other rates are resampled, with one notice for each rate. Callers must not write into the result.

    Raises:
        RedactError: Unreadable, empty, shorter than half a second, silent, not finite, or clipped
            in more than one sample of a hundred.
    """
    if not path.is_file():
        raise RedactError(f"There is no file {path}; give the path of a sound file.")
    samples, rate = read_channels(path)
    wave = samples.mean(1)
    seconds = len(wave) / rate
    if seconds < SHORTEST_S:
        raise RedactError(f"{path}: lasts {seconds:.2f} s; give at least {SHORTEST_S} s of speech.")
    if not np.isfinite(wave).all():
        raise RedactError(f"{path}: holds samples that are not finite (NaN or infinity); export it again.")
    peak = float(np.abs(wave).max())
    if peak < 1e-4:
        raise RedactError(f"{path}: is silent; give a clip in which the person speaks.")
    clipped = float((np.abs(samples) >= 0.999).mean())
    if clipped > 0.01:
        raise RedactError(
            f"{path}: {100 * clipped:.0f} % of its samples are clipped; record it with less gain."
        )
    result = torch.from_numpy(np.ascontiguousarray(wave))
    if rate == RATE:
        return result
    if rate not in _told:
        _told.add(rate)
        warnings.warn(f"Clips at {rate} Hz are resampled to {RATE} Hz ({path} is the first).", stacklevel=2)
    return resample(result, rate, RATE)


def check_clips(clips: Sequence[Path]) -> None:
    """Read all of them.

    Raises:
        RedactError: Some cannot be used; the message names each.
    """
    problems: list[str] = []
    for clip in clips:
        try:
            read_clip(clip)
        except RedactError as error:
            problems.append(str(error))
    raise_together("Some clips cannot be used", problems)


def fit_length(wave: Tensor, samples: int) -> Tensor:
    """The first ``samples`` of ``wave``; a shorter one is repeated, for statistics pooled over time."""
    repeats = -(-samples // len(wave))
    return wave.repeat(repeats)[:samples]
