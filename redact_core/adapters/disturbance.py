"""Collated inputs whose places may be moved a little: what an adapter offers to inner attacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from redact_core.errors import RedactError
from redact_core.types import Conditioning

_DISTANCES = 1 << 24
"""Distances held at a time: 64 MiB in single precision."""


def _as_it_is(conditioning: Conditioning) -> Conditioning:
    return conditioning


@dataclass(frozen=True)
class Disturbable:
    """Inputs of an encoder with continuous places that can be moved.

    A waveform is one place of as many dimensions as samples; a prompt has one place for each token,
    of as many dimensions as its embedding.
    """

    unit: Tensor
    """``(batch, places)`` what a radius of 1 is, as a Euclidean norm; 0 where nothing may be moved."""
    dim: int
    """Of a place."""
    moved: Callable[[Tensor], dict[str, Tensor]]
    """Disturbance ``(batch, places, dim)`` -> inputs of the encoder; differentiable, zeros are allowed."""
    arranged: Callable[[Conditioning], Conditioning] = _as_it_is
    """An answer to the inputs as they were -> the same at the positions, and with the mask, that the
    moved inputs have; differs where :attr:`moved` inserts something."""

    points: Tensor | None = None
    """``(points, dim)`` disturbances that lead to inputs of the ordinary kind, such as words; ``None``
    where there are none. Attacks may start from them and end at them."""

    def zeros(self) -> Tensor:
        """``(batch, places, dim)`` no disturbance."""
        return self.unit.new_zeros((*self.unit.shape, self.dim))

    def random(self, radius: float, generator: torch.Generator) -> Tensor:
        """``(batch, places, dim)`` a random direction for each place, of a length up to ``radius`` units.

        Drawn on the CPU, so that it does not depend on the device.
        """
        drawn = torch.randn((*self.unit.shape, self.dim), generator=generator)
        length = radius * torch.rand(self.unit.shape, generator=generator)
        return unit_length(drawn.to(self.unit)) * (length.to(self.unit) * self.unit).unsqueeze(-1)

    def at_points(self, generator: torch.Generator) -> Tensor:
        """``(batch, places, dim)`` one of :attr:`points` for each place that may be moved, of any length.

        Raises:
            RedactError: There are none.
        """
        points = self._points()
        drawn = torch.randint(len(points), tuple(self.unit.shape), generator=generator)
        return points[drawn.to(points.device)] * (self.unit > 0).unsqueeze(-1)

    def snapped(self, change: Tensor) -> Tensor:
        """``change`` with each place at the nearest of :attr:`points`, by Euclidean distance.

        Raises:
            RedactError: There are none.
        """
        points, free = self._points(), self.unit > 0
        found = torch.zeros_like(change)
        found[free] = points[_nearest(change[free], points)]
        return found

    def _points(self) -> Tensor:
        if self.points is None:
            raise RedactError("These inputs are made of no words; set words to 0.")
        return self.points

    def bounded(self, change: Tensor, radius: float) -> Tensor:
        """``change`` with each place's norm cut to ``radius`` units."""
        norm = change.norm(dim=-1).clamp(min=torch.finfo(change.dtype).tiny)
        return change * (radius * self.unit / norm).clamp(max=1).unsqueeze(-1)


def _nearest(places: Tensor, points: Tensor) -> Tensor:
    """``(places,)`` numbers of the nearest points; distances to a whole vocabulary are taken part by part."""
    rows = max(1, _DISTANCES // len(points))
    return torch.cat([torch.cdist(part, points).argmin(-1) for part in places.split(rows)])


def unit_length(places: Tensor) -> Tensor:
    """The last dimension scaled to length 1; zeros stay zeros."""
    return places / places.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(places.dtype).tiny)
