"""Chatterbox: a vector for its language model, and another one for its decoder.

Speech tokens and a spectrogram of the clip reach both as well, past every encoder: guards must screen those.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from modalities.recurrent import LSTM
from modalities.sound.clips import RATE
from modalities.text_to_speech.cloners.campplus import CamPlus
from modalities.text_to_speech.cloners.cloner import Cloner, Place
from modalities.text_to_speech.cloners.mel import Mel
from modalities.text_to_speech.cloners.paths import vector
from redact_core import Conditioning, RedactError
from redact_core.errors import first_line

VOICE, DECODER = "ve.safetensors", "s3gen.safetensors"
SPEAKER, EMBEDDING = "speaker_emb", "embedding"
"""The paths, as ``T3Cond`` and the dictionary of ``S3Gen.embed_ref`` call them."""
_HOP, _SIZE, _FRAMES, _COVERAGE = 160, 400, 160, 0.8
_STEP = round(RATE / 1.3 / _FRAMES)
"""Frames from one window to the next, as ``embeds_from_wavs`` takes them."""
_REFERENCE_S = 10


class ChatterboxVoiceEncoder(nn.Module):
    """``waveform (batch, samples)`` at 16 kHz -> ``hidden (batch, 1, dim)`` of length 1, as ``embeds_from_wavs`` does it.

    A GE2E encoder (Wan et al. 2018, arXiv 1710.10467) over windows of 1.6 s. Silence at the ends, which its own code
    cuts off, is not taken out.

    Args:
        state: Tensors of ``ve.safetensors``.

    Raises:
        KeyError: A tensor is missing.
    """

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        layers = sum(name.startswith("lstm.weight_ih_l") for name in state)
        dim, width = state["proj.weight"].shape
        bands = state["lstm.weight_ih_l0"].shape[1]
        self.lstm = LSTM(bands, width, layers, batch_first=True)
        self.proj = nn.Linear(width, dim)
        self.mel = Mel(RATE, _SIZE, torch.hann_window(_SIZE), _HOP, bands, slaney=True, scale="slaney")

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        frames = self.mel(inputs["waveform"].float()).transpose(1, 2)
        windows, rest = divmod(max(frames.shape[1] - _FRAMES + _STEP, 0), _STEP)
        if windows == 0 or (rest + _FRAMES - _STEP) / _FRAMES >= _COVERAGE:
            windows += 1
        frames = pad(frames, (0, 0, 0, max(0, _FRAMES + _STEP * (windows - 1) - frames.shape[1])))
        parts = torch.stack([frames[:, i * _STEP : i * _STEP + _FRAMES] for i in range(windows)], 1)
        _, (last, _) = self.lstm(parts.flatten(0, 1))
        each = normalize(torch.relu(self.proj(last[-1])), dim=1)
        return vector(normalize(each.unflatten(0, (-1, windows)).mean(1), dim=1))


class ChatterboxFolder(Cloner):
    """``ve.safetensors`` and ``s3gen.safetensors``, which Chatterbox's own code reads."""

    kind = "Chatterbox"

    @classmethod
    def fits(cls, folder: Path) -> bool:
        return (folder / VOICE).is_file() and (folder / DECODER).is_file()

    def places(self) -> dict[str, Place]:
        return {SPEAKER: Place(VOICE, ""), EMBEDDING: Place(DECODER, "speaker_encoder.")}

    def build(self, path: str, state: Mapping[str, Tensor]) -> nn.Module:
        return ChatterboxVoiceEncoder(state) if path == SPEAKER else CamPlus(state, _REFERENCE_S)

    def opened(self, file: str) -> Any:
        try:
            return load_file(self.folder / file)
        except (SafetensorError, OSError) as error:
            raise RedactError(
                f"{self.folder / file} cannot be read ({first_line(error)}); fetch it again."
            ) from error
