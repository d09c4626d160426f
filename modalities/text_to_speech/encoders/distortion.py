"""Variants of a clip that training sees: other stretches of it, other microphones."""

from __future__ import annotations

import torch
from torch import Tensor
from torchaudio.functional import lowpass_biquad

from modalities.sound.clips import RATE, fit_length


def distort(waves: Tensor, generator: torch.Generator, rate: int = RATE) -> Tensor:
    """A random stretch of at least 0.7 s of each of ``waves (batch, samples)`` at ``rate``, with noise, band limit and gain.

    Computed on the CPU wherever the waves are, so that the variants are the same on every device.
    """

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=generator).item()

    rows = []
    for wave in waves.cpu():
        length = int(len(wave) * uniform(min(1.0, 0.7 * rate / len(wave)), 1.0))
        start = int(uniform(0, len(wave) - length))
        row = wave[start : start + length]
        if uniform(0, 1) < 0.5:
            level = row.square().mean().sqrt() * 10 ** (-uniform(10, 40) / 20)
            row = row + level * torch.randn(len(row), generator=generator)
        if uniform(0, 1) < 0.25:
            row = lowpass_biquad(row, rate, uniform(2000, 6000))
        rows.append(fit_length(row * 10 ** (uniform(-6, 6) / 20), len(wave)))
    return torch.stack(rows).to(waves.device)
