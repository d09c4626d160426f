"""How far the distribution of a model's pictures is from the base's, and from real pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from modalities.picture_files import pictures_in, read_picture
from modalities.text_to_image.metrics.grader import Judge
from redact_core import Group, Metric, Pair, RedactError, SetScorer
from redact_core.metrics.distances import frechet_distance, kernel_distance
from redact_core.support.paths import at_home

_TO_BASE = (
    "halves of the model's pictures against the other half of the base's, so that no prompt and seed is compared "
    "with itself; the base's figure is the distance of its own halves"
)


def distances_named(frechet: str, kernel: str) -> dict[str, Metric]:
    """The metrics of :class:`FeatureDistances` under the names that its features deserve."""
    return {
        f"{name} to {other}": Metric("set", None, "at most base", note=note)
        for name in (frechet, kernel)
        for other, note in (("base", _TO_BASE), ("real pictures", ""))
    }


class FeatureDistances(SetScorer):
    """A Fréchet and a kernel distance, to the base and, if there are any, to real pictures.

    Args:
        real: Folder of real pictures, PNG or JPEG; without it there is only the base to compare with.

    Raises:
        RedactError: The folder holds fewer than two pictures.
    """

    def __init__(self, real: Path | None = None):
        self.real_files = _pictures(at_home(real)) if real else []
        self._real: Tensor | None = None

    @property
    @abstractmethod
    def weights(self) -> Mapping[str, Path]:
        """Files of the network."""

    @abstractmethod
    def features(self, pictures: Sequence[Tensor]) -> Tensor:
        """``(pictures, dim)`` of pictures ``(3, height, width)`` in [0, 1]."""

    def frechet(self, a: Tensor, b: Tensor) -> float:
        """Between sets of features."""
        return frechet_distance(a, b)

    def kernel(self, a: Tensor, b: Tensor) -> float:
        """Between sets of features."""
        return kernel_distance(a, b)

    @property
    def files(self) -> Mapping[str, Path]:
        return {**self.weights, **{f"real/{path.name}": path for path in self.real_files}}

    def embed(self, paths: Sequence[Path]) -> Tensor:
        rows: list[Tensor | None] = []
        for path in paths:
            try:
                rows.append(self.features([read_picture(path)])[0])
            except RedactError:
                rows.append(None)
        # an unreadable picture is counted, not compared; a batch of them has no width to go by
        width = next((len(row) for row in rows if row is not None), self._width())
        return torch.stack([torch.full((width,), torch.nan) if row is None else row for row in rows])

    def compare(self, group: Group) -> dict[str, Pair]:
        names, (frechet, kernel) = list(self.metrics), (self.frechet, self.kernel)
        first, second = ~group.half, group.half
        found: dict[str, Pair] = {}
        for name, real_name, distance in ((names[0], names[1], frechet), (names[2], names[3], kernel)):
            if min(int(first.sum()), int(second.sum())) > 1:
                crossed = [
                    distance(group.own[first], group.base[second]),
                    distance(group.own[second], group.base[first]),
                ]
                itself = [
                    distance(group.base[first], group.base[second]),
                    distance(group.base[second], group.base[first]),
                ]
                n, others = int(first.sum()), int(second.sum())
                found[name] = Pair(sum(crossed) / 2, sum(itself) / 2, n, others)
            if self.real_files:
                real = self._of_real()
                n = len(group.rows)
                found[real_name] = Pair(distance(group.own, real), distance(group.base, real), n, len(real))
        return found

    def _of_real(self) -> Tensor:
        if self._real is None:
            self._real = torch.stack([self.features([read_picture(p)])[0] for p in self.real_files])
        return self._real

    def _width(self) -> int:
        return self.features([torch.zeros(3, 32, 32)]).shape[1]


class GraderFeatureDistances(FeatureDistances):
    """Distances in the bundled grader's features: no FID and no KID, and not to be compared with them.

    Args:
        real: Folder of real pictures; without it there is only the base to compare with.
        folder: Of the grader; default: the bundled one.
    """

    metrics: ClassVar[Mapping[str, Metric]] = distances_named(
        "grader-feature Fréchet distance", "grader-feature kernel distance"
    )

    def __init__(self, real: Path | None = None, folder: Path | None = None):
        super().__init__(real)
        self.folder = at_home(folder) if folder else Path(__file__).parents[1] / "bundled" / "grader"
        if not (self.folder / "labels.json").is_file():
            raise RedactError(f"{self.folder} holds no grader: labels.json is missing; give another folder.")
        self.judge = Judge(self.folder)

    @property
    def weights(self) -> Mapping[str, Path]:
        return {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.judge.grader,)

    def features(self, pictures: Sequence[Tensor]) -> Tensor:
        return self.judge(pictures).features


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise RedactError(f"There is no folder {folder}; give a folder of real pictures.")
    found = pictures_in(folder)
    if len(found) < 2:
        raise RedactError(f"{folder} holds {len(found)} pictures; give at least two real ones.")
    return found
