"""The speaker encoder of the Resemblyzer package: GE2E (Wan et al. 2018, arXiv 1710.10467), whose wheel holds its weights."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import librosa
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from modalities.recurrent import LSTM
from modalities.sound.clips import RATE
from modalities.weight_files import refusing
from redact_core import Conditioning, RedactError

MELS, FRAMES, HOP, FFT, WIDTH, LAYERS, DIM = 40, 160, 160, 400, 256, 3, 256
STEP = round(RATE / 1.3 / HOP)
"""Frames from one window to the next, as ``embed_utterance`` takes them."""
COVERAGE = 0.75
"""Share of the last window that must be sound; else it is left out."""
LEVEL_DB = -30.0
"""Root mean square to which quieter clips are raised."""


class GE2E(nn.Module):
    """``waveform (batch, samples)`` at 16 kHz -> ``hidden (batch, 1, 256)`` of length 1, as ``embed_utterance`` does it.

    Windows of 1.6 s are embedded one by one; their mean, of length 1, is the clip's embedding. Silence is not
    taken out: ``preprocess_wav`` of the package does that with a voice detector, before the encoder.
    """

    mel: Tensor
    window: Tensor

    def __init__(self):
        super().__init__()
        self.lstm = LSTM(MELS, WIDTH, LAYERS, batch_first=True)
        self.linear = nn.Linear(WIDTH, DIM)
        bank = librosa.filters.mel(sr=RATE, n_fft=FFT, n_mels=MELS)
        self.register_buffer("mel", torch.from_numpy(bank).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        hidden = normalize(self.windows(inputs["waveform"].float()).mean(1), dim=1).unsqueeze(1)
        return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))

    def windows(self, waves: Tensor) -> Tensor:
        """``(batch, windows, 256)`` of length 1, of every window of ``waves (batch, samples)``."""
        waves = louder(waves)
        frames = -(-(waves.shape[1] + 1) // HOP)
        starts = list(range(0, max(1, frames - FRAMES + STEP + 1), STEP))
        if len(starts) > 1 and (waves.shape[1] - starts[-1] * HOP) / (FRAMES * HOP) < COVERAGE:
            starts.pop()
        waves = pad(waves, (0, max(0, (starts[-1] + FRAMES) * HOP - waves.shape[1])))
        spectrum = torch.stft(
            waves, FFT, HOP, window=self.window, center=True, pad_mode="constant", return_complex=True
        )
        mels = (self.mel @ spectrum.abs().square()).transpose(1, 2)
        parts = torch.stack([mels[:, s : s + FRAMES] for s in starts], 1).flatten(0, 1)
        _, (last, _) = self.lstm(parts)
        return normalize(torch.relu(self.linear(last[-1])), dim=1).view(len(waves), len(starts), DIM)


def louder(waves: Tensor) -> Tensor:
    """Clips below :data:`LEVEL_DB` raised to it; louder ones as they are."""
    level = waves.square().mean(1, keepdim=True).sqrt().clamp(min=1e-8)
    return waves * (10 ** (LEVEL_DB / 20) / level).clamp(min=1.0)


def weights() -> Path:
    """The weights in the installed wheel.

    Raises:
        RedactError: It is not installed.
    """
    spec = find_spec("resemblyzer")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "pretrained.pt").is_file():
            return Path(place) / "pretrained.pt"
    raise RedactError("Resemblyzer is not installed; pip install 'redact-core[resemblyzer]'.")


def load_ge2e(path: Path | None = None) -> GE2E:
    """The encoder with the weights of ``path``, in Resemblyzer's own format; default: the wheel's.

    Raises:
        RedactError: There are none, or they are of another kind.
    """
    path = path or weights()
    encoder = GE2E()
    with refusing(path.parent, "GE2E encoder", "pretrained.pt of Resemblyzer"):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]  # noqa: TID251 its own format
        except UnpicklingError as error:
            raise ValueError("it is no file of plain tensors") from error
        own = encoder.state_dict()
        encoder.load_state_dict({name: state[name] for name in own})
    return encoder.eval()
