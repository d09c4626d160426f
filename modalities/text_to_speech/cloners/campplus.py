"""CAM++ in PyTorch, as Chatterbox's ``s3gen`` holds it: 2D convolutions, then dense time-delay layers with a mask by context.

Built here by the sizes of the checkpoint's own tensors (Wang et al. 2023, arXiv 2303.00332), under their names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from modalities.sound.clips import RATE
from modalities.text_to_speech.cloners.paths import vector
from modalities.text_to_speech.encoders.onnx_encoder import banks
from redact_core import Conditioning

_DILATIONS = (1, 2, 2)
_SEGMENT = 100
"""Frames whose mean is a context."""


class CamPlus(nn.Module):
    """``waveform (batch, samples)`` at 16 kHz -> ``hidden (batch, 1, dim)``, from 80 filter banks of Kaldi without their mean.

    Args:
        state: Tensors of ``speaker_encoder``, by their names.
        seconds: Of the clip that are read.

    Raises:
        KeyError: A tensor is missing.
    """

    def __init__(self, state: Mapping[str, Tensor], seconds: int):
        super().__init__()
        self.seconds = seconds
        self.head = _Head(state)
        self.xvector = nn.Sequential(OrderedDict(_layers(state)))

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        waves = inputs["waveform"].float()[:, : RATE * self.seconds]
        seen = torch.stack([banks(wave) for wave in waves]).transpose(1, 2)
        return vector(self.xvector(self.head(seen)))


def _layers(state: Mapping[str, Tensor]) -> Iterator[tuple[str, nn.Module]]:
    prefix = "xvector."

    def of(name: str) -> Tensor:
        return state[prefix + name]

    first = of("tdnn.linear.weight")
    width = len(first)
    tdnn = nn.Conv1d(first.shape[1], width, first.shape[2], 2, first.shape[2] // 2, bias=False)
    yield "tdnn", nn.Sequential(OrderedDict(linear=tdnn, nonlinear=_normed(width)))
    for number, dilation in enumerate(_DILATIONS, 1):
        block = f"block{number}"
        names = {name.split(".")[2] for name in state if name.startswith(f"{prefix}{block}.")}
        layers = {
            name: _Layer(
                of(f"{block}.{name}.linear1.weight"),
                of(f"{block}.{name}.cam_layer.linear_local.weight"),
                of(f"{block}.{name}.cam_layer.linear1.weight"),
                dilation,
            )
            for name in sorted(names, key=lambda name: int(name.removeprefix("tdnnd")))
        }
        yield block, _Dense(layers)
        narrow, width, _ = of(f"transit{number}.linear.weight").shape
        linear = nn.Conv1d(width, narrow, 1, bias=False)
        yield f"transit{number}", nn.Sequential(OrderedDict(nonlinear=_normed(width), linear=linear))
        width = narrow
    yield "out_nonlinear", _normed(width)
    yield "stats", _Statistics()
    dim = len(of("dense.linear.weight"))
    norm = nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(dim, affine=False)))
    yield (
        "dense",
        nn.Sequential(
            OrderedDict(linear=nn.Conv1d(2 * width, dim, 1, bias=False), nonlinear=norm, last=nn.Flatten())
        ),
    )


def _normed(width: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(width), relu=nn.ReLU()))


class _Dense(nn.ModuleDict):
    """Each layer reads what all before it gave."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.values():
            x = torch.cat([x, layer(x)], 1)
        return x


class _Layer(nn.Module):
    def __init__(self, first: Tensor, local: Tensor, context: Tensor, dilation: int):
        super().__init__()
        inner, width, _ = first.shape
        self.nonlinear1, self.nonlinear2 = _normed(width), _normed(inner)
        self.linear1 = nn.Conv1d(width, inner, 1, bias=False)
        self.cam_layer = _Masked(inner, local, len(context), dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))


class _Masked(nn.Module):
    """A convolution, times a mask that follows from the mean of the clip and of the segment."""

    def __init__(self, inner: int, local: Tensor, hidden: int, dilation: int):
        super().__init__()
        width, _, size = local.shape
        self.linear_local = nn.Conv1d(
            inner, width, size, padding=size // 2 * dilation, dilation=dilation, bias=False
        )
        self.linear1, self.linear2 = nn.Conv1d(inner, hidden, 1), nn.Conv1d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        segments = avg_pool1d(x, _SEGMENT, _SEGMENT, ceil_mode=True).repeat_interleave(_SEGMENT, -1)
        context = x.mean(-1, keepdim=True) + segments[..., : x.shape[-1]]
        return self.linear_local(x) * torch.sigmoid(self.linear2(torch.relu(self.linear1(context))))


class _Statistics(nn.Module):
    """Mean and deviation over time, as ``(batch, 2 * width, 1)``."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(-1), x.std(-1)], -1).unsqueeze(-1)


class _Head(nn.Module):
    """``(batch, 80, frames)`` -> ``(batch, width * 10, frames)``."""

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        width = len(state["head.conv1.weight"])
        self.conv1, self.bn1 = nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        for layer in ("layer1", "layer2"):
            count = 1 + max(int(name.split(".")[2]) for name in state if name.startswith(f"head.{layer}."))
            setattr(self, layer, nn.Sequential(*(_Residual(width, 1 if i else 2) for i in range(count))))
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, (2, 1), 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x.unsqueeze(1))))
        x = getattr(self, "layer2")(getattr(self, "layer1")(x))  # noqa: B009 set by their names
        return torch.relu(self.bn2(self.conv2(x))).flatten(1, 2)


class _Residual(nn.Module):
    def __init__(self, width: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, (stride, 1), 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.shortcut = (
            nn.Sequential()
            if stride == 1
            else nn.Sequential(nn.Conv2d(width, width, 1, (stride, 1), bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: Tensor) -> Tensor:
        found = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(found + self.shortcut(x))
