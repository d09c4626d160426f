"""How one voice is warped into another: the distance of their pitches and of their formants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import Tensor

from modalities.mel_to_speech.utterance import Warp
from modalities.sound.clips import RATE, read_clip
from modalities.sound.warps import envelope, stretch
from redact_core import RedactError

_RATIOS = [round(0.7 + 0.01 * i, 2) for i in range(71)]
_FROM, _TO = 250, 3500  # hertz: where formants are, within the vocoder's band


@lru_cache(maxsize=1024)
def heard(path: Path) -> tuple[float, Tensor]:
    """Median pitch in hertz (``nan`` where none is found), and log envelope ``(257,)``, of a clip.

    Pitch by YIN (de Cheveigné & Kawahara 2002) over the louder half.
    """
    wave = read_clip(path)
    samples = wave.numpy()
    frequency = librosa.yin(samples, fmin=60, fmax=400, sr=RATE, frame_length=1024, hop_length=256)
    loud = librosa.feature.rms(y=samples, frame_length=1024, hop_length=256)[0][: len(frequency)]
    voiced = frequency[(loud >= np.median(loud)) & (frequency > 62) & (frequency < 390)]
    return (float(np.median(voiced)) if len(voiced) else math.nan), envelope(wave)


def warp_between(source: Sequence[Path], target: Sequence[Path]) -> Warp:
    """From the voice of clips to the voice of others: medians of pitch, mean envelopes.

    The pitch moves by at most an octave; the ratio of formants is the one at which the envelopes
    are most alike.

    Raises:
        RedactError: No pitch is heard in one of them.
    """
    pitches, envelopes = [], []
    for clips in (source, target):
        found = [heard(clip) for clip in clips]
        known = [value for value, _ in found if not math.isnan(value)]
        if not known:
            raise RedactError(
                f"{clips[0]}: no pitch is found in it or in its neighbours; give voiced speech."
            )
        pitches.append(float(np.median(known)))
        envelopes.append(torch.stack([shape for _, shape in found]).mean(0))
    semitones = max(-12.0, min(12.0, 12 * math.log2(pitches[1] / pitches[0])))
    shift = 2 ** (semitones / 12)  # a change of pitch takes the formants along
    band = slice(_FROM * 512 // RATE, _TO * 512 // RATE)
    differences = []
    for ratio in _RATIOS:
        difference = (stretch(envelopes[0][:, None], ratio)[:, 0] - envelopes[1])[band]
        differences.append(difference.var().item())
    best = _RATIOS[differences.index(min(differences))]
    return Warp(round(semitones, 2), round(min(2.0, max(0.5, best / shift)), 3))
