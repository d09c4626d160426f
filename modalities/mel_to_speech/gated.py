"""A voice-aware conditioner: a gate tells whose mel it is and chooses between two answers."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from modalities.mel_to_speech.networks import MelConditioner
from redact_core import Conditioning


class VoiceGate(nn.Module):
    """``mel (batch, bands, frames)`` -> ``(batch, 1, 1)`` in (0, 1): is this a redacted voice?

    Reads mean and spread of each band over the clip, loudness taken out.
    """

    def __init__(self, bands: int, width: int = 32):
        super().__init__()
        self.hidden = nn.Linear(2 * bands, width)
        self.out = nn.Linear(width, 1)

    def forward(self, mel: Tensor, length: Tensor) -> Tensor:
        """``length (batch,)`` int64: frames of each row that are clip and not padding."""
        inside = (torch.arange(mel.shape[2], device=mel.device) < length[:, None])[:, None].to(mel.dtype)
        count = inside.sum(2)
        mean = (mel * inside).sum(2) / count
        spread = (((mel - mean[..., None]).square() * inside).sum(2) / count + 1e-6).sqrt()
        voice = torch.cat([mean - mean.mean(1, keepdim=True), spread], 1)
        return self.out(torch.tanh(self.hidden(3 * voice))).sigmoid()[..., None]


class GatedConditioner(nn.Module):
    """``original + gate * (redacted - original)``: the original stays frozen, only the rest learns.

    A retained voice whose gate is shut gets the original's answer, whatever the redacted part
    learnt; a plain student has to keep it with the same weights that redact.

    Args:
        original: The conditioner to start from; the redacted part starts as its copy.
        bands: Of the mel.
        seed: Of the gate's first weights.
    """

    def __init__(self, original: MelConditioner, bands: int, seed: int = 0):
        super().__init__()
        self.original = original.requires_grad_(False)
        self.redacted = deepcopy(original).requires_grad_(True)
        self.gate = VoiceGate(bands)
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.gate.hidden, self.gate.out):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        before, after = self.original(inputs), self.redacted(inputs)
        rows = zip(inputs["mel"].split(1), inputs["length"].split(1), strict=True)
        gate = torch.cat([self.gate(mel, length) for mel, length in rows])  # row by row, as the others
        return Conditioning(before.hidden + gate * (after.hidden - before.hidden), before.mask)
