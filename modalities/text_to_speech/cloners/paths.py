"""Several encoders of one model that read the same clip: one conditioning, and each of them by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from redact_core import Adapter, Condition, Conditioning, Lesson, Origin, RedactError, Request
from redact_core.adapters.capabilities import HasOneVector

_PROBE_S = 2.0


def vector(rows: Tensor) -> Conditioning:
    """``rows (batch, dim)`` as a conditioning of one vector."""
    hidden = rows.unsqueeze(1)
    return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))


class ParallelPaths(nn.Module):
    """The vectors of all paths, one behind the other: ``hidden (batch, 1, sum of dims)``.

    Each is multiplied by a power of two that brings its length near 1, so that no path is lost beside a longer one when
    distances are measured. Of what a path gives by itself no bit is changed.

    Args:
        parts: Name of the path -> ``waveform (batch, samples)`` to ``hidden (batch, 1, dim)``.
        rate: Of the samples, in hertz.
    """

    parts: nn.ModuleDict

    def __init__(self, parts: Mapping[str, nn.Module], rate: int):
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        noise = 0.1 * torch.randn(1, int(_PROBE_S * rate), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            lengths = [float(part({"waveform": noise}).hidden.norm()) for part in parts.values()]
        self.scales = [2.0 ** -round(math.log2(max(length, 1e-6))) for length in lengths]

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        found = [part(inputs).hidden[:, 0] for part in self.parts.values()]
        return vector(torch.cat([scale * x for scale, x in zip(self.scales, found, strict=True)], 1))


class PathView(Adapter, HasOneVector):
    """One path of a model, whose encoder is a part of the model's own; it speaks nothing.

    Args:
        whole: The model's adapter; its encoder is a :class:`ParallelPaths`.
        path: Name of the path.
    """

    def __init__(self, whole: Adapter, path: str):
        self.whole, self.path, self.variants = whole, path, whole.variants

    @property
    def _parts(self) -> nn.ModuleDict:
        assert isinstance(self.whole.encoder, ParallelPaths)
        return self.whole.encoder.parts

    @property
    def encoder(self) -> nn.Module:  # read and set where it belongs
        return self._parts[self.path]

    @encoder.setter
    def encoder(self, value: nn.Module) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._parts[self.path] = value

    @property
    def origin(self) -> Origin:
        return self.whole.origin

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return self.whole.collate(conditions)

    def augment(self, inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        return self.whole.augment(inputs, generator)

    def expand(self, request: Request) -> list[Lesson]:
        return self.whole.expand(request)

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        raise RedactError("One path of a voice cloner alone speaks nothing; use the model's own code.")

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        return self.whole.write_sample(sample, path)

    def save(self, folder: Path) -> None:
        self.whole.save(folder)
