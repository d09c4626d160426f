"""What the bundled classifier sees: how probable the class is, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from modalities.class_to_image.classifier import Judge, entropy
from redact_core import Metric, RedactError, Scorer, Trial


class ClassScorer(Scorer):
    """The independent classifier of the bundled base: never sees a condition.

    Rows are labelled ``class``, and maybe ``reference``. A label that the classifier has no class for
    cannot be judged.

    - *probability*: of the class that was asked for.
    - *found*: that class is the most probable one.
    - *reference found*: the reference is; redacted rows only.
    - *entropy*: of the probabilities, in nats; the greatest is the logarithm of the number of classes.

    Args:
        folder: Of the classifier; default: the bundled one.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "probability": Metric("mean", redacted="low", retained="as base", share=0.1),
        "found": Metric("rate", redacted="low", retained="as base", leak=True),
        "reference found": Metric("rate", redacted="high", retained=None),
        "entropy": Metric("mean", None, None, note="nats; high where the classifier cannot tell"),
    }

    def __init__(self, folder: Path | None = None):
        self.judge = Judge(folder)

    @property
    def files(self) -> Mapping[str, Path]:
        return {path.name: path for path in sorted(self.judge.folder.iterdir()) if path.is_file()}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.judge.network,)

    def read(self, path: Path) -> Tensor:
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("L").resize((28, 28)), dtype=np.float32)
        except (OSError, ValueError, SyntaxError) as error:
            raise RedactError(f"{path}: cannot be read as a picture; give a PNG file.") from error
        return torch.from_numpy(pixels / 255)[None]

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        probabilities = self.judge(samples)
        spread, first = entropy(probabilities), probabilities.argmax(1).tolist()
        names = self.judge.names
        found: list[dict[str, float]] = []
        for i, trial in enumerate(rows):
            labels = trial.row.labels
            wanted, reference = labels.get("class"), labels.get("reference")
            known = wanted in names
            scores = {
                "probability": probabilities[i, names.index(wanted)].item() if known else math.nan,
                "found": float(names[first[i]] == wanted) if known else math.nan,
                "entropy": spread[i].item(),
            }
            if trial.row.redacted and reference is not None:
                scores["reference found"] = (
                    float(names[first[i]] == reference) if reference in names else math.nan
                )
            found.append(scores)
        return found
