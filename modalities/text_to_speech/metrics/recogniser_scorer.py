"""Is what was to be said still understood? The bundled recogniser's character error rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from modalities.text_to_speech.judges.judge import BUNDLED
from modalities.text_to_speech.judges.recogniser import error_rate, load_recogniser
from modalities.text_to_speech.judges.sound_files import read_sound
from redact_core import Metric, Scorer, Trial
from redact_core.support.paths import at_home


class RecogniserScorer(Scorer):
    """Character error rate against the label ``sentence``; it may exceed 1.

    Args:
        folder: Of the recogniser; default: the bundled one.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "cer": Metric(
            "mean", redacted="as base", retained="as base",
            note="character error rate: letters that a recogniser misreads, as a share of the sentence",
        )
    }  # fmt: skip

    def __init__(self, folder: Path | None = None):
        self.folder = at_home(folder or BUNDLED / "recogniser")
        self.recogniser = load_recogniser(self.folder)

    @property
    def files(self) -> Mapping[str, Path]:
        return {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.recogniser,)

    def read(self, path: Path) -> Tensor:
        return read_sound(path)

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        found: list[dict[str, float]] = []
        for wave, trial in zip(samples, rows, strict=True):
            said = trial.row.labels.get("sentence")
            found.append({"cer": math.nan if not said else error_rate([self.recogniser.read(wave)], [said])})
        return found
