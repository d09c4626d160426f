"""Distances of single pictures to the base's picture of the same prompt and seed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from modalities.picture_files import read_picture
from redact_core import Metric, Scorer, Trial

NOTE = "the base's figure is its distance to another of its own pictures"
UNLIKE = Metric("mean", None, "low", 0.5, NOTE)
"""Of a distance to the base: small in comparison with pictures that have nothing to do with one another."""


def partners(rows: Sequence[Trial]) -> list[Path]:
    """The base's picture for each row; for the base itself its next picture in the batch."""
    return [rows[(i + 1) % len(rows)].base if row.of_base else row.base for i, row in enumerate(rows)]


class PairScorer(Scorer):
    """One distance between two pictures; a base's picture alone in its batch has none."""

    def read(self, path: Path) -> Tensor:
        return read_picture(path)

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        (name,) = self.metrics
        found: list[dict[str, float]] = []
        for sample, trial, other in zip(samples, rows, partners(rows), strict=True):
            alone = trial.of_base and other == trial.base
            found.append({name: torch.nan if alone else self.distance(sample, self.read(other))})
        return found

    @abstractmethod
    def distance(self, a: Tensor, b: Tensor) -> float:
        """Between two pictures ``(3, height, width)`` in [0, 1]; ``nan`` if it is not defined."""


class PixelScorer(PairScorer):
    """Root mean squared difference of the pixels, in [0, 1], to the base's picture of the same seed."""

    metrics = {"pixel RMSE": UNLIKE}  # noqa: RUF012

    def distance(self, a: Tensor, b: Tensor) -> float:
        return torch.nan if a.shape != b.shape else (a - b).square().mean().sqrt().item()
