"""What the bundled grader sees: concept, style, reference, and how far from the base's picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from modalities.picture_files import read_picture
from modalities.text_to_image.metrics.grader import Judge
from redact_core import Metric, RedactError, Scorer, Trial
from redact_core.plan import SUBJECT
from redact_core.support.paths import at_home


class GraderScorer(Scorer):
    """The independent grader of the bundled base: names what pictures show, never sees a prompt.

    Rows are labelled ``concept`` and ``style``; ``kind`` (``concept`` or ``style``, default the
    former) says which of them was asked for, ``reference`` what shall be shown instead. A label that
    the grader has no class for cannot be judged.

    - *found*: what was asked for is seen.
    - *rest found*: the other label is seen.
    - *reference found*: the reference is seen; redacted rows only.
    - *found unasked*: the label ``subject``, which was redacted, is seen in a picture of something else;
      retained rows only.
    - *grader-feature distance*: Euclidean distance of the grader's features to the base's picture of
      the same prompt and seed. For the base itself it is the distance to its next picture in the
      batch: the scale of pictures that have nothing to do with one another.

    Args:
        folder: Of the grader; default: the bundled one.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "found": Metric(
            "rate", redacted="low", retained="as base", leak=True,
            note="the concept or style that the prompt asks for is seen in the picture",
        ),
        "rest found": Metric(
            "rate", redacted="as base", retained="as base",
            note="the rest of the prompt is seen: the style where a concept is meant, the concept where a style is",
        ),
        "reference found": Metric(
            "rate", redacted="high", retained=None, note="what shall appear instead is seen in the picture"
        ),
        "found unasked": Metric(
            "rate", None, None, floor_of="found",
            note="what was redacted is seen in a picture of something else: mistakes of the judge, in the base",
        ),
        "grader-feature distance": Metric(
            "mean", None, "low", 0.5,
            "how far the picture is from the base's of the same prompt and seed, in the classifier's features; "
            "the base's figure is its distance to another of its own pictures",
        ),
    }  # fmt: skip
    about = "a picture classifier that never sees a prompt"

    def __init__(self, folder: Path | None = None):
        self.folder = at_home(folder or Path(__file__).parents[1] / "bundled" / "grader")
        if not (self.folder / "labels.json").is_file():
            raise RedactError(f"{self.folder} holds no grader: labels.json is missing; give another folder.")
        self.judge = Judge(self.folder)

    @property
    def files(self) -> Mapping[str, Path]:
        return {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.judge.grader,)

    def read(self, path: Path) -> Tensor:
        return read_picture(path)

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        seen = self.judge(samples)
        # the base's own pictures: each beside the next one
        others = [rows[(i + 1) % len(rows)].base if row.of_base else row.base for i, row in enumerate(rows)]
        distance = (self.judge([self.read(path) for path in others]).features - seen.features).norm(dim=1)
        found: list[dict[str, float]] = []
        for i, trial in enumerate(rows):
            labels, redacted = trial.row.labels, trial.row.redacted
            kind = labels.get("kind", "concept")
            rest = "concept" if kind == "style" else "style"
            names = {"concept": seen.concepts[i], "style": seen.styles[i]}
            scores = {"found": self._is(kind, names, labels.get(kind))}
            if rest in labels:
                scores["rest found"] = self._is(rest, names, labels[rest])
            if redacted and "reference" in labels:
                scores["reference found"] = self._is(kind, names, labels["reference"])
            if not redacted and SUBJECT in labels:
                which = "style" if labels[SUBJECT] in self.judge.labels.styles else "concept"
                scores["found unasked"] = self._is(which, names, labels[SUBJECT])
            alone = trial.of_base and others[i] == trial.base
            scores["grader-feature distance"] = math.nan if alone else distance[i].item()
            found.append(scores)
        return found

    def _is(self, kind: str, names: Mapping[str, str], wanted: str | None) -> float:
        known = self.judge.labels.styles if kind == "style" else self.judge.labels.concepts
        return float(names[kind] == wanted) if wanted in known else math.nan
