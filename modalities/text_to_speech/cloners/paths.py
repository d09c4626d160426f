"""Several encoders of one model that read the same clip: one conditioning, and each of them by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from redact_core import Adapter, Conditioning
from redact_core.adapters.capabilities import HasOneVector
from redact_core.adapters.view import PartView

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


class PathView(PartView, HasOneVector):
    """One path of a model, whose encoder is a part of the model's own; it speaks nothing.

    Args:
        whole: The model's adapter; its encoder is a :class:`ParallelPaths`.
        path: Name of the path.
    """

    alone = "One path of a voice cloner alone speaks nothing; use the model's own code."

    def __init__(self, whole: Adapter, path: str):
        super().__init__(whole)
        self.path, self.variants = path, whole.variants

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
