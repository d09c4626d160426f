"""The same words higher, lower, faster, slower, or from a throat of another length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torchaudio.functional import phase_vocoder

from modalities.text_to_speech.attacks.clip_attack import ClipAttack
from modalities.text_to_speech.attacks.voices import cloner
from modalities.text_to_speech.clips import RATE, SHORTEST_S, fit_length
from redact_core import Access, Adapter, Attempt, PlanRow, RedactError

_FFT, _HOP = 512, 128
_LONG = 1024  # window that tells harmonics apart
_LIFTER = (
    24  # cepstral coefficients that are envelope: quefrencies below 1.5 ms, shorter than any pitch period
)


def tempo(rate: float) -> Callable[[Tensor], Tensor]:
    """``rate`` times as fast by phase vocoder (Flanagan & Golden 1966); the pitch stays."""

    def change(wave: Tensor) -> Tensor:
        spectrum = torch.stft(wave, _LONG, _LONG // 4, window=torch.hann_window(_LONG), return_complex=True)
        advance = torch.linspace(0, math.pi * _LONG / 4, len(spectrum))[:, None]
        slower = phase_vocoder(spectrum, rate, advance)
        return torch.istft(
            slower, _LONG, _LONG // 4, window=torch.hann_window(_LONG), length=round(len(wave) / rate)
        )

    return change


def pitch(semitones: float) -> Callable[[Tensor], Tensor]:
    """Pitch and formants together; the length stays."""
    ratio = 2 ** (semitones / 12)

    def change(wave: Tensor) -> Tensor:
        longer = tempo(1 / ratio)(wave)
        # played faster, as band-limited interpolation of the whole clip
        bins = torch.fft.rfft(longer)
        kept = len(wave) // 2 + 1
        bins = torch.nn.functional.pad(bins, (0, max(0, kept - len(bins))))[:kept]
        return torch.fft.irfft(bins, len(wave)) * (len(wave) / len(longer))

    return change


def formants(ratio: float) -> Callable[[Tensor], Tensor]:
    """The spectral envelope stretched by ``ratio`` in frequency; pitch and length stay.

    The envelope is the cepstrum's low part (Oppenheim 1969); phases are kept.
    """

    def change(wave: Tensor) -> Tensor:
        window = torch.hann_window(_FFT)
        spectrum = torch.stft(wave, _FFT, _HOP, window=window, return_complex=True)
        cepstrum = torch.fft.irfft(spectrum.abs().clamp(min=1e-5).log(), dim=0)
        cepstrum[_LIFTER : _FFT - _LIFTER + 1] = 0
        envelope = torch.fft.rfft(cepstrum, dim=0).real  # log amplitude, (bins, frames)
        bins = torch.arange(len(envelope)) / ratio
        low = bins.floor().long().clamp(max=len(envelope) - 1)
        high = (low + 1).clamp(max=len(envelope) - 1)
        stretched = torch.lerp(envelope[low], envelope[high], (bins - low).clamp(0, 1)[:, None])
        changed = spectrum * (stretched - envelope).clamp(-4, 4).exp()
        return torch.istft(changed, _FFT, _HOP, window=window, length=len(wave))

    return change


CHANGES: Mapping[str, Callable[[Tensor], Tensor]] = {
    **{f"pitch {n:+d}": pitch(n) for n in (-4, -2, -1, 1, 2, 4)},
    **{f"tempo {r:g}": tempo(r) for r in (0.9, 1.1)},
    **{f"formants {r:g}": formants(r) for r in (0.9, 0.95, 1.05, 1.1)},
}
"""Semitones, ratio of speed, ratio of frequency."""


class PitchTempo(ClipAttack):
    """Each row's clip in another transformation, in turn.

    Args:
        changes: Names of :data:`CHANGES`; default: all.
        folder: Where the clips are written.

    Raises:
        RedactError: An unknown change was named.
    """

    access: ClassVar[Access] = "prompt"
    adaptive = False

    def __init__(self, changes: tuple[str, ...] = (), folder: Path | None = None):
        super().__init__(folder)
        for name in changes:
            if name not in CHANGES:
                raise RedactError(f'There is no change "{name}"; give some of: {", ".join(CHANGES)}.')
        self.changes = changes or tuple(CHANGES)

    @property
    def budget(self) -> str:
        return f"1 of {len(self.changes)} transformations"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model, seed
        found: list[Attempt] = []
        for i, row in enumerate(rows):
            name = self.changes[i % len(self.changes)]
            wave = CHANGES[name](cloner(base).hear(row.condition))
            wave = fit_length(wave, max(len(wave), int(SHORTEST_S * RATE)))
            wave = wave * (0.95 / wave.abs().max().clamp(min=0.95))
            found.append(Attempt(condition=self.write(i, name, wave), queries=1))
        return found
