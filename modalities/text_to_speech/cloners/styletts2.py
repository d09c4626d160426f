"""StyleTTS 2: an acoustic style for its decoder, and a prosodic one for its predictors of duration, pitch and energy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, leaky_relu, pad

from modalities.text_to_speech.cloners.cloner import Cloner, Place
from modalities.text_to_speech.cloners.mel import Mel
from modalities.text_to_speech.cloners.paths import vector
from modalities.weight_files import unpickled
from redact_core import Conditioning, RedactError

ACOUSTIC, PROSODIC = "ref_s", "ref_p"
"""The paths, as ``compute_style`` calls the two halves of what it gives."""
_PARTS = {ACOUSTIC: "style_encoder", PROSODIC: "predictor_encoder"}
SETTINGS = ("config.yml", "config.yaml")
CHECKPOINTS = "epochs_*.pth"
_RATE, _BANDS, _MEAN, _SPREAD, _FLOOR, _SLOPE = 24_000, 80, -4.0, 4.0, 1e-5, 0.2
_YAML = 200_000
_SHORTEST = 80
"""Frames, one second: the last convolution reads five of sixteen each."""


class StyleEncoder(nn.Module):
    """``waveform (batch, samples)`` at 24 kHz -> ``hidden (batch, 1, dim)``, as ``compute_style`` does it.

    Built by the sizes of the checkpoint's own tensors (Li et al. 2023, arXiv 2306.07691), under their names. Silence at the
    ends, which its own code cuts off, is not taken out.

    Args:
        state: Tensors of ``style_encoder`` or ``predictor_encoder``.

    Raises:
        KeyError: A tensor is missing.
    """

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        places = sorted({int(name.split(".")[1]) for name in state if name.startswith("shared.")})
        layers: dict[str, nn.Module] = {}
        for place in places:
            own = {
                n.removeprefix(f"shared.{place}."): v
                for n, v in state.items()
                if n.startswith(f"shared.{place}.")
            }
            first = place == places[0]
            layers[str(place)] = _Conv(own, padding=int(first)) if "weight_orig" in own else _Halved(own)
        self.shared = nn.ModuleDict(layers)
        dim, width = state["unshared.weight"].shape
        self.unshared = nn.Linear(width, dim)
        # its own code names no rate here, so that the bands, made for 16 kHz, stretch over the whole spectrum
        self.mel = Mel(16_000, 2048, torch.hann_window(1200), 300, _BANDS)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        seen = ((self.mel(inputs["waveform"].float()) + _FLOOR).log() - _MEAN) / _SPREAD
        if seen.shape[-1] < _SHORTEST:
            raise RedactError(
                "StyleTTS 2 reads clips of at least a second; give --model.adapter.seconds 1 or more."
            )
        x = seen.unsqueeze(1)
        *first, last = self.shared.values()
        for layer in first:
            x = layer(x)
        x = adaptive_avg_pool2d(last(leaky_relu(x, _SLOPE)), 1)
        return vector(self.unshared(leaky_relu(x, _SLOPE).flatten(1)))


class _Conv(nn.Module):
    """A convolution divided by its largest singular value, whose vectors are those of the file."""

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, state: Mapping[str, Tensor], stride: int = 1, padding: int = 1):
        super().__init__()
        weight = state["weight_orig"]
        self.stride, self.padding = stride, padding
        self.weight_orig = nn.Parameter(torch.zeros_like(weight))
        self.bias = nn.Parameter(torch.zeros(len(weight))) if "bias" in state else None
        self.register_buffer("weight_u", torch.zeros_like(state["weight_u"]))
        self.register_buffer("weight_v", torch.zeros_like(state["weight_v"]))

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight_u @ (self.weight_orig.flatten(1) @ self.weight_v)
        groups = x.shape[1] // self.weight_orig.shape[1]
        return conv2d(x, self.weight_orig / size, self.bias, self.stride, self.padding, groups=groups)


class _Halved(nn.Module):
    """A residual block that halves bands and frames."""

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()

        def of(name: str, **options: int) -> _Conv:
            return _Conv({n.removeprefix(name): v for n, v in state.items() if n.startswith(name)}, **options)

        self.conv1, self.conv2 = of("conv1."), of("conv2.")
        self.downsample_res = nn.ModuleDict({"conv": of("downsample_res.conv.", stride=2)})
        self.conv1x1 = of("conv1x1.", padding=0) if "conv1x1.weight_orig" in state else None

    def forward(self, x: Tensor) -> Tensor:
        beside = x if self.conv1x1 is None else self.conv1x1(x)
        if beside.shape[-1] % 2:
            beside = pad(beside, (0, 1, 0, 0), mode="replicate")
        found = self.downsample_res["conv"](self.conv1(leaky_relu(x, _SLOPE)))
        return (avg_pool2d(beside, 2) + self.conv2(leaky_relu(found, _SLOPE))) / math.sqrt(2)


def settings_of(folder: Path) -> str | None:
    """The text of the configuration, if it is that of a StyleTTS 2."""
    path = next((folder / name for name in SETTINGS if (folder / name).is_file()), None)
    if path is None:
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_YAML)
    return text if "style_dim" in text and "multispeaker" in text else None


class StyleTts2Folder(Cloner):
    """``config.yml`` and ``epochs_2nd_NUMBER.pth``, which StyleTTS 2's own code reads."""

    kind = "StyleTTS2"
    rate = _RATE

    @classmethod
    def fits(cls, folder: Path) -> bool:
        return settings_of(folder) is not None

    def places(self) -> dict[str, Place]:
        found = sorted(path.name for path in self.folder.glob(CHECKPOINTS))
        if len(found) != 1:
            raise RedactError(
                f"{self.folder} holds {len(found)} checkpoints ({CHECKPOINTS}); leave the one that is used, for every other "
                "one holds the stock encoders."
            )
        net = self.values(found[0])["net"]
        return {
            path: Place(found[0], "module." if _wrapped(net.get(part)) else "", ("net", part))
            for path, part in _PARTS.items()
        }

    def build(self, path: str, state: Mapping[str, Tensor]) -> nn.Module:
        return StyleEncoder(state)

    def opened(self, file: str) -> Any:
        values = unpickled(self.folder / file)
        if not isinstance(values, dict) or not isinstance(values.get("net"), dict):
            raise RedactError(f"{self.folder / file} holds no networks of StyleTTS 2; fetch it again.")
        return values


def _wrapped(state: Any) -> bool:
    """Whether the tensors were saved from several GPUs."""
    return isinstance(state, Mapping) and any(str(name).startswith("module.") for name in state)
