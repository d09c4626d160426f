"""The speaker encoder in front of XTTS's vocoder: a residual network with squeeze and excitation, and attentive statistics.

Built here by the sizes of the checkpoint's own tensors (Heo et al. 2020, arXiv 2009.14153), under their names.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from modalities.sound.clips import RATE
from modalities.text_to_speech.cloners.mel import Mel
from modalities.text_to_speech.cloners.paths import vector
from redact_core import Conditioning

_EMPHASIS, _FLOOR, _LEAST = 0.97, 1e-6, 1e-5
_LAYERS, _STRIDES = ("layer1", "layer2", "layer3", "layer4"), (1, 2, 2, 2)


class ResNetSpeaker(nn.Module):
    """``waveform (batch, samples)`` at 16 kHz -> ``hidden (batch, 1, dim)`` of length 1, as ``get_speaker_embedding`` does it.

    Args:
        state: Tensors of ``hifigan_decoder.speaker_encoder``, by XTTS's names.
        seconds: Of the clip that are read: ``max_ref_len``.

    Raises:
        KeyError: A tensor is missing.
    """

    def __init__(self, state: Mapping[str, Tensor], seconds: int):
        super().__init__()
        self.seconds = seconds
        width = len(state["conv1.weight"])
        self.conv1, self.bn1 = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width)
        for layer, stride in zip(_LAYERS, _STRIDES, strict=True):
            count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith(f"{layer}."))
            wide = len(state[f"{layer}.0.conv1.weight"])
            inner = len(state[f"{layer}.0.se.fc.0.weight"])
            blocks = [
                _Block(width, wide, inner, stride),
                *(_Block(wide, wide, inner, 1) for _ in range(1, count)),
            ]
            setattr(self, layer, nn.Sequential(*blocks))
            width = wide
        hidden, rows = state["attention.0.weight"].shape[:2]
        bands = 8 * rows // width
        self.instancenorm = nn.InstanceNorm1d(bands)
        self.attention = nn.Sequential(
            nn.Conv1d(rows, hidden, 1),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Conv1d(hidden, rows, 1),
            nn.Softmax(2),
        )
        self.fc = nn.Linear(2 * rows, len(state["fc.weight"]))
        self.mel = Mel(RATE, 512, torch.hamming_window(400), 160, bands)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        waves = pad(inputs["waveform"].float()[:, : RATE * self.seconds], (1, 0), mode="reflect")
        seen = (self.mel(waves[:, 1:] - _EMPHASIS * waves[:, :-1]) + _FLOOR).log()
        x = self.bn1(torch.relu(self.conv1(self.instancenorm(seen).unsqueeze(1))))
        for layer in _LAYERS:
            x = getattr(self, layer)(x)
        x = x.flatten(1, 2)
        share = self.attention(x)
        mean = (x * share).sum(2)
        spread = ((x.square() * share).sum(2) - mean.square()).clamp(min=_LEAST).sqrt()
        return vector(normalize(self.fc(torch.cat([mean, spread], 1)), dim=1))


class _Block(nn.Module):
    def __init__(self, width: int, wide: int, inner: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, wide, 3, stride, 1, bias=False), nn.BatchNorm2d(wide)
        self.conv2, self.bn2 = nn.Conv2d(wide, wide, 3, 1, 1, bias=False), nn.BatchNorm2d(wide)
        self.se = nn.ModuleDict(
            {"fc": nn.Sequential(nn.Linear(wide, inner), nn.ReLU(), nn.Linear(inner, wide), nn.Sigmoid())}
        )
        self.downsample = (
            None
            if stride == 1 and width == wide
            else nn.Sequential(nn.Conv2d(width, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
        )

    def forward(self, x: Tensor) -> Tensor:
        found = self.bn2(self.conv2(self.bn1(torch.relu(self.conv1(x)))))
        found = found * self.se["fc"](found.mean((2, 3)))[:, :, None, None]
        return torch.relu(found + (x if self.downsample is None else self.downsample(x)))
