"""The seam for measures of whole groups: how samples are distributed, not what each of them is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from redact_core.metrics.scorer import Metric
from redact_core.plan import PlanRow
from redact_core.support.devices import move


class Pair(NamedTuple):
    """A figure of a model and of the base, and how many samples went into it."""

    own: float
    base: float
    n: int
    others: int
    """Samples that those ``n`` were compared with."""


@dataclass(frozen=True)
class Group:
    """What a model and the base answered to the same rows, as :meth:`SetScorer.embed` sees it."""

    rows: Sequence[PlanRow]
    own: Tensor  # (samples, dim)
    base: Tensor  # (samples, dim)
    half: Tensor  # (samples,) bool; one of every two rows, for measures that compare two disjoint halves

    def __getitem__(self, index: Tensor) -> Group:
        """The rows ``index`` (int64)."""
        rows = [self.rows[i] for i in index.tolist()]
        return Group(rows, self.own[index], self.base[index], self.half[index])


class SetScorer(ABC):
    """Judges all samples of a group together. Settings in the constructor, the problem in the call.

    Named by class as scorers are. Intervals are the framework's business: it asks
    :meth:`compare` again about parts of the group.
    """

    metrics: ClassVar[Mapping[str, Metric]]
    """Every figure that :meth:`compare` may return, of the kind ``set``."""

    @property
    def name(self) -> str:
        """Under which the figures are kept."""
        return type(self).__name__

    @property
    def files(self) -> Mapping[str, Path]:
        """Weights and data that the figures depend on, for the record of hashes."""
        return {}

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The networks that judge; :meth:`to` moves them. They take and give tensors on the CPU."""
        return ()

    def to(self, device: torch.device | str) -> Self:
        """Judge on ``device`` from now on; the scorer itself is returned."""
        for network in self.networks:
            move(network, device)
        return self

    @abstractmethod
    def embed(self, paths: Sequence[Path]) -> Tensor:
        """``(paths, dim)``: what is compared of each sample; a row of ``nan`` where a file is unreadable."""

    @abstractmethod
    def compare(self, group: Group) -> dict[str, Pair]:
        """The figures of a group; those that do not apply to it are left out."""
