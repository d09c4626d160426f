"""A measure of whole groups for the toy that draws pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from toy_evaluation import WordScorer

from redact_core import Group, Metric, Pair, SetScorer
from redact_core.metrics.distances import frechet_distance


class ToyDistance(SetScorer):
    """Fréchet distance of raw pixels, to the base's other half."""

    metrics: ClassVar[Mapping[str, Metric]] = {"pixel distance": Metric("set", None, "at most base")}

    def embed(self, paths: Sequence[Path]) -> Tensor:
        reader = WordScorer()
        return torch.stack([reader.read(path).flatten() for path in paths])

    def compare(self, group: Group) -> dict[str, Pair]:
        first, second = ~group.half, group.half
        own = frechet_distance(group.own[first], group.base[second])
        base = frechet_distance(group.base[first], group.base[second])
        return {"pixel distance": Pair(own, base, int(first.sum()), int(second.sum()))}
