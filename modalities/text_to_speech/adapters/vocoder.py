"""Log-mel spectrograms to waveforms: a HiFi-GAN where the model brings one, else Griffin-Lim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torchaudio.transforms import GriffinLim, InverseMelScale
from transformers import SpeechT5HifiGan

from modalities.sound.clips import RATE
from modalities.text_to_speech.adapters.model_folder import check_weights
from modalities.whole_models import whole
from redact_core.support.devices import move

Vocoder = Callable[[Tensor], Tensor]
"""``(frames, 80)`` log10 mel amplitudes -> ``(samples,)`` in [-1, 1] at 16 kHz; computed where the amplitudes are."""
GRIFFIN_LIM = "griffin-lim"
"""In place of a folder: no network."""
_FFT, _HOP = 1024, 256


class GriffinLimVocoder:
    """Phase from consistency alone (Griffin & Lim 1984), with the mel scale of SpeechT5 undone first.

    Deterministic: it starts from zero phase.
    """

    def __init__(self, iterations: int = 32):
        self.spread = InverseMelScale(
            _FFT // 2 + 1, 80, RATE, f_min=80, f_max=7600, norm="slaney", mel_scale="slaney"
        )
        self.phase = GriffinLim(_FFT, iterations, hop_length=_HOP, power=1.0, rand_init=False)

    def __call__(self, mel: Tensor) -> Tensor:
        frames = len(mel)
        for part in (self.spread, self.phase):
            move(part, mel.device)
        # a spectrogram shorter than one window has no phase to be found: silence follows it
        mel = nn.functional.pad(mel.float(), (0, 0, 0, max(0, 8 - frames)), value=-5.0)
        amplitude = self.spread((10 ** mel.clamp(max=3)).T)
        return _bounded(self.phase(amplitude)[: frames * _HOP])


def load_vocoder(folder: Path | None) -> Vocoder:
    """The ``SpeechT5HifiGan`` of ``folder``, or Griffin-Lim for ``None``.

    Raises:
        RedactError: The folder holds no such model, or its weights are no plain tensors.
    """
    if folder is None:
        return GriffinLimVocoder()
    check_weights(folder)
    model = whole(SpeechT5HifiGan, folder, dtype=torch.float32, weights_only=True).eval()

    @torch.no_grad()
    def vocode(mel: Tensor) -> Tensor:
        move(model, mel.device)
        with torch.autocast(mel.device.type, enabled=False):  # a wave in half precision is audibly coarse
            return _bounded(model(mel.float()))

    return vocode


def _bounded(wave: Tensor) -> Tensor:
    """Scaled down only where it would leave [-1, 1]."""
    wave = torch.nan_to_num(wave)
    return wave / wave.abs().max().clamp(min=1.0)
