"""Reference clips: reading them safely, one rate, one channel."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.functional import resample

from modalities.sound.sound_folder import SoundFolder
from redact_core import RedactError
from redact_core.errors import raise_together
from redact_core.support.folders import sha256
from redact_core.support.paths import at_home

RATE = 16_000
"""Hertz; the rate of SpeechT5 and of SpeechBrain's speaker encoders."""
SHORTEST_S = 0.5
LOWEST_RATE = 4_000
"""Hertz; half of what a telephone has."""
_CANCELLED = 0.01
"""Of the loudest channel: a mean of channels that is fainter has lost the voice. One of 64 channels alone is 0.016."""
_told: set[tuple[int, int]] = set()


def clips_in(folder: Path) -> list[Path]:
    """The clips of one person's folder, sorted by name; a warning says in numbers what else lies there and is not used.

    Raises:
        RedactError: There are subfolders with clips, see :meth:`.SoundFolder.one_person`.
    """
    found = SoundFolder.of(folder).one_person()
    unused = found.unused()
    if found.clips and unused:
        warnings.warn(
            f"{folder}: {len(found.clips)} clips are used; not used: {', '.join(unused)}.", stacklevel=2
        )
    return found.clips


def identity_of(path: Path) -> str:
    """What makes a clip the clip that it is: its content, so that links, ``..`` and copies are the same clip.

    A file that cannot be read is known by its resolved path.
    """
    path = at_home(path)
    try:
        about = path.stat()
        return _digest(path.resolve(), about.st_mtime_ns, about.st_size)
    except (OSError, ValueError):
        return str(path.absolute())


@lru_cache(maxsize=65536)
def _digest(path: Path, changed: int, size: int) -> str:
    del changed, size  # they make a file that was written again another one
    return sha256(path)


def once(clips: Iterable[Path]) -> list[Path]:
    """Each clip once, under its first path."""
    return list({identity_of(clip): clip for clip in reversed(list(clips))}.values())[::-1]


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
def read_clip(path: Path, wanted: int = RATE) -> Tensor:
    """``(samples,)`` float32 at ``wanted`` hertz, the mean of the channels, as loud as in the file.

    Other rates are resampled, with one notice for each rate. Callers must not write into the result.

    Raises:
        RedactError: Unreadable, empty, shorter than half a second, silent, not finite, or clipped
            in more than one sample of a hundred; channels that cancel one another.
    """
    path = at_home(path)
    if not path.is_file():
        raise RedactError(f"There is no file {path}; give the path of a sound file.")
    samples, rate = read_channels(path)
    if rate < LOWEST_RATE:
        raise RedactError(
            f"{path}: has {rate} samples a second; give at least {LOWEST_RATE}, for a voice needs them."
        )
    wave = samples.mean(1)
    seconds = len(wave) / rate
    if seconds < SHORTEST_S:
        raise RedactError(f"{path}: lasts {seconds:.2f} s; give at least {SHORTEST_S} s of speech.")
    if not np.isfinite(wave).all():
        raise RedactError(f"{path}: holds samples that are not finite (NaN or infinity); export it again.")
    peak = float(np.abs(wave).max())
    loudest = float(np.abs(samples).max())
    if loudest >= 1e-4 and peak < _CANCELLED * loudest:
        raise RedactError(
            f"{path}: its {samples.shape[1]} channels cancel one another when they are mixed down to one (opposite "
            "phase); give one channel of it, or turn one over."
        )
    if peak < 1e-4:
        raise RedactError(f"{path}: is silent; give a clip in which the person speaks.")
    clipped = float((np.abs(samples) >= 0.999).mean())
    if clipped > 0.01:
        raise RedactError(
            f"{path}: {100 * clipped:.0f} % of its samples are clipped; record it with less gain."
        )
    result = torch.from_numpy(np.ascontiguousarray(wave))
    if rate == wanted:
        return result
    if (rate, wanted) not in _told:
        _told.add((rate, wanted))
        warnings.warn(f"Clips at {rate} Hz are resampled to {wanted} Hz ({path} is the first).", stacklevel=2)
    return resample(result, rate, wanted)


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


def cut_off(clips: Iterable[Path], seconds: float, option: str) -> tuple[str, ...]:
    """What a person should know of clips that are longer than what is used of each: one sentence, or nothing.

    Args:
        clips: Each counts once; all must be readable.
        seconds: From a clip's beginning, that are used.
        option: Where they can be changed.
    """
    every = list(dict.fromkeys(clips))
    over = [len(read_clip(clip)) / RATE - seconds for clip in every]
    long = [rest for rest in over if rest > 1e-3]
    if not long:
        return ()
    return (
        f"{len(long)} of {len(every)} clips are longer than the {seconds:g} s that are used of each; {sum(long):.0f} s "
        f"after that are not used. Give a larger {option}, or cut long clips into several.",
    )


def fit_length(wave: Tensor, samples: int) -> Tensor:
    """The first ``samples`` of ``wave``; a shorter one is repeated, for statistics pooled over time."""
    repeats = -(-samples // len(wave))
    return wave.repeat(repeats)[:samples]
