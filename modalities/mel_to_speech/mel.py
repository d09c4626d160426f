"""The log-mel spectrogram that the vocoder reads."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks, resample

RATE = 8_000
"""Hertz; of the vocoder's waveforms, which therefore hold frequencies up to 4 kHz."""
HOP = 128
"""Samples from one frame to the next."""
_FFT = 512  # 64 ms: tells the harmonics of low voices apart


@lru_cache(maxsize=4)
def _filters(bands: int) -> Tensor:
    return melscale_fbanks(_FFT // 2 + 1, 40.0, RATE / 2, bands, RATE, norm="slaney", mel_scale="slaney").T


def log_mel(wave: Tensor, bands: int) -> Tensor:
    """``(bands, len(wave) // 128)`` of ``wave (samples,)`` at 8 kHz; about 0 for speech, -2 for silence.

    Frame ``i`` is centred on sample ``128 i``. ``log10`` of amplitudes of at least ``1e-5``, scaled.
    """
    window = torch.hann_window(_FFT, device=wave.device)
    spectrum = torch.stft(wave, _FFT, HOP, window=window, return_complex=True, pad_mode="constant").abs()
    amplitude = _filters(bands).to(wave) @ spectrum[:, : len(wave) // HOP]
    return (amplitude.clamp(min=1e-5).log10() + 2) / 1.5


def to_band(wave: Tensor, rate: int) -> Tensor:
    """``wave (samples,)`` at ``rate`` hertz, at 8 kHz."""
    return wave if rate == RATE else resample(wave, rate, RATE)
