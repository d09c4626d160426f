"""The seam for measures of whole groups: how samples are distributed, not what each of them is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from torch import Tensor

from redact_core.metrics.judge import Judge
from redact_core.metrics.scorer import Metric
from redact_core.plan import PlanRow


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


class SetScorer(Judge, ABC):
    """Judges all samples of a group together. Settings in the constructor, the problem in the call.

    Intervals are the framework's business: it asks :meth:`compare` again about parts of the group.
    """

    metrics: ClassVar[Mapping[str, Metric]]
    """Every figure that :meth:`compare` may return, of the kind ``set``."""

    @abstractmethod
    def embed(self, paths: Sequence[Path]) -> Tensor:
        """``(paths, dim)``: what is compared of each sample; a row of ``nan`` where a file is unreadable."""

    @abstractmethod
    def compare(self, group: Group) -> dict[str, Pair]:
        """The figures of a group; those that do not apply to it are left out."""
