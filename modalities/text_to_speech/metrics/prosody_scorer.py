"""Melody and timbre against the base's sample of the same sentence and seed, with time warping."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import librosa
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modalities.sound.clips import RATE
from modalities.text_to_speech.judges.sound_files import read_sound
from redact_core import Metric, RedactError, Scorer, Trial

_HOP, _WINDOW, _MELS, _ORDER = 256, 1024, 80, 24
_LOWEST, _HIGHEST = 65.0, 500.0
_NOTE = "the base's figure is its distance to another of its own samples"

Array = NDArray[np.float64]


class Contour(NamedTuple):
    """What is compared of a sample; a column a frame of 16 ms."""

    cepstra: Array  # (24, frames) mel-cepstral coefficients 1 to 24 of the natural log amplitude
    pitch: Array  # (frames,) in cents above 1 Hz, nan where unvoiced


class ProsodyScorer(Scorer):
    """Distances of a sample to the base's: pitch, voicing, mel cepstrum. Frames are paired by warping.

    - *log-F0 error*: root mean squared difference in cents, over frames voiced in both (pYIN, Mauch &
      Dixon 2014).
    - *voicing error*: share of frames voiced in one of both only.
    - *mel-cepstral distortion*: ``10 sqrt(2) / ln 10`` times the mean Euclidean distance of coefficients
      1 to 24, in dB (Kubichek 1993), along the path of dynamic time warping.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "log-F0 error": Metric("mean", None, "low", 0.5, f"in cents; {_NOTE}"),
        "voicing error": Metric("mean", None, "low", 0.5, _NOTE),
        "mel-cepstral distortion": Metric("mean", None, "low", 0.5, f"in dB; {_NOTE}"),
    }

    def read(self, path: Path) -> Tensor:
        return read_sound(path)

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        del samples  # contours are kept by file: the base's are needed again for every model
        found: list[dict[str, float]] = []
        for i, trial in enumerate(rows):
            other = rows[(i + 1) % len(rows)].base if trial.of_base else trial.base
            alone = trial.of_base and other == trial.base
            found.append(dict.fromkeys(self.metrics, math.nan) if alone else _between(trial.sample, other))
        return found


def contour(wave: Tensor) -> Contour:
    """Of ``(samples,)`` at 16 kHz.

    Raises:
        RedactError: The sample is shorter than a window of 64 ms.
    """
    samples = wave.double().numpy()
    if len(samples) < _WINDOW:
        raise RedactError(f"The sample has {len(samples)} values at 16 kHz; give at least {_WINDOW}.")
    mels = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=_WINDOW, hop_length=_HOP, n_mels=_MELS, power=1.0
    )
    cepstra = mel_cepstra(mels)
    pitch, _, _ = librosa.pyin(
        samples, fmin=_LOWEST, fmax=_HIGHEST, sr=RATE, frame_length=_WINDOW, hop_length=_HOP
    )
    frames = min(cepstra.shape[1], len(pitch))
    return Contour(cepstra[:, :frames], 1200 * np.log2(pitch[:frames]))


def mel_cepstra(mels: Array) -> Array:
    """``(24, frames)`` of mel amplitudes ``(80, frames)``: log amplitude is ``c_0 + sum c_k cos(pi k (n + 1/2) / 80)``.

    Without a 2 before the sum: only so is Kubichek's factor the root mean square over the bands in dB.
    """
    steps = np.arange(_MELS) + 0.5
    basis = 2 / _MELS * np.cos(np.pi / _MELS * np.arange(1, _ORDER + 1)[:, None] * steps)
    return basis @ np.log(np.maximum(mels, 1e-5))


def compare(a: Contour, b: Contour) -> dict[str, float]:
    """The figures of :class:`ProsodyScorer`; the log-F0 error is ``nan`` where no frame is voiced in both."""
    _, path = librosa.sequence.dtw(a.cepstra, b.cepstra, metric="euclidean")
    gaps = np.linalg.norm(a.cepstra[:, path[:, 0]] - b.cepstra[:, path[:, 1]], axis=0)
    first, second = a.pitch[path[:, 0]], b.pitch[path[:, 1]]
    voiced = ~np.isnan(first), ~np.isnan(second)
    both = voiced[0] & voiced[1]
    error = math.sqrt(np.mean((first[both] - second[both]) ** 2)) if both.any() else math.nan
    return {
        "log-F0 error": error,
        "voicing error": float(np.mean(voiced[0] != voiced[1])),
        "mel-cepstral distortion": float(10 * math.sqrt(2) / math.log(10) * gaps.mean()),
    }


def _between(path: Path, other: Path) -> dict[str, float]:
    try:
        return compare(_contour(path), _contour(other))
    except RedactError:
        return dict.fromkeys(ProsodyScorer.metrics, math.nan)


@lru_cache(maxsize=512)
def _contour(path: Path) -> Contour:
    return contour(read_sound(path))
