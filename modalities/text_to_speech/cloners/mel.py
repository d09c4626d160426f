"""Spectrograms on the mel scale as the encoders of voice cloners read them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks


class Mel(nn.Module):
    """``waves (batch, samples)`` -> ``(batch, bands, frames)``: power in bands of the mel scale, with reflected ends.

    Args:
        rate: Of the samples, in hertz.
        size: Of the Fourier transform.
        window: ``(length,)``, at most ``size`` long.
        hop: Samples from frame to frame.
        bands: Their number, from 0 Hz on.
        highest: Where the last band ends, in hertz; default: half the rate.
        slaney: Norm of the bands' area.
        scale: ``htk`` or ``slaney``.
    """

    window: Tensor
    bank: Tensor

    def __init__(
        self, rate: int, size: int, window: Tensor, hop: int, bands: int, *, highest: float | None = None,
        slaney: bool = False, scale: str = "htk",
    ):  # fmt: skip
        super().__init__()
        self.size, self.hop = size, hop
        bank = melscale_fbanks(
            size // 2 + 1, 0.0, highest or rate / 2, bands, rate, "slaney" if slaney else None, scale
        )
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        spectrum = torch.stft(waves, self.size, self.hop, len(self.window), self.window, return_complex=True)
        return self.bank.T @ spectrum.abs().square()
