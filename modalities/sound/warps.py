"""Warps of a voice: higher, lower, faster, slower, or from a throat of another length."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torchaudio.functional import phase_vocoder

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


def smooth(amplitude: Tensor) -> Tensor:
    """The log envelope ``(bins, frames)`` of ``amplitude (bins, frames)``, 257 bins at 16 kHz."""
    cepstrum = torch.fft.irfft(amplitude.clamp(min=1e-5).log(), dim=0)
    cepstrum[_LIFTER : _FFT - _LIFTER + 1] = 0
    return torch.fft.rfft(cepstrum, dim=0).real


def stretch(envelope: Tensor, ratio: float) -> Tensor:
    """``envelope (bins, frames)`` with everything at ``ratio`` times its frequency."""
    bins = torch.arange(len(envelope)) / ratio
    low = bins.floor().long().clamp(max=len(envelope) - 1)
    high = (low + 1).clamp(max=len(envelope) - 1)
    return torch.lerp(envelope[low], envelope[high], (bins - low).clamp(0, 1)[:, None])


def envelope(wave: Tensor) -> Tensor:
    """``(257,)`` mean log envelope of the louder half of ``wave (samples,)`` at 16 kHz, its mean taken out."""
    amplitude = torch.stft(wave, _FFT, _HOP, window=torch.hann_window(_FFT), return_complex=True).abs()
    level = amplitude.square().sum(0)
    found = smooth(amplitude[:, level >= level.median()]).mean(1)
    return found - found.mean()


def formants(ratio: float) -> Callable[[Tensor], Tensor]:
    """The spectral envelope stretched by ``ratio`` in frequency; pitch and length stay.

    The envelope is the cepstrum's low part (Oppenheim 1969); phases are kept.
    """

    def change(wave: Tensor) -> Tensor:
        window = torch.hann_window(_FFT)
        spectrum = torch.stft(wave, _FFT, _HOP, window=window, return_complex=True)
        envelope = smooth(spectrum.abs())
        stretched = stretch(envelope, ratio)
        changed = spectrum * (stretched - envelope).clamp(-4, 4).exp()
        return torch.istft(changed, _FFT, _HOP, window=window, length=len(wave))

    return change
