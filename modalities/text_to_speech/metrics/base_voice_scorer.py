"""Does a sample still sound like the base's, whoever that is? Needs no enrolled voice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from modalities.text_to_speech.judges.judge import BUNDLED, VoiceJudge
from modalities.text_to_speech.judges.sound_files import read_sound
from modalities.text_to_speech.metrics.by_verifier import ByVerifier
from redact_core import Metric, RedactError, Scorer, Trial
from redact_core.support.paths import at_home


class BaseVoiceScorer(ByVerifier, Scorer):
    """Cosine with the base's sample of the same condition and seed, by the independent verifier.

    It is 1 for the base itself. A redacted voice must be less like it; the others must not change.

    Args:
        folder: With ``verifier``; default: the bundled one.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "similarity to the base's sample": Metric(
            "mean", "low", "as base", 0.9, "1 for the base itself"
        )
    }  # fmt: skip

    def __init__(self, folder: Path | None = None):
        self.folder = at_home(folder or BUNDLED)
        self.judge = VoiceJudge({}, folder)

    @property
    def files(self) -> Mapping[str, Path]:
        return {f"verifier/{p.name}": p for p in sorted((self.folder / "verifier").iterdir()) if p.is_file()}

    def read(self, path: Path) -> Tensor:
        return read_sound(path)

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        (name,) = self.metrics
        return [{name: self._alike(wave, trial)} for wave, trial in zip(samples, rows, strict=True)]

    def _alike(self, wave: Tensor, trial: Trial) -> float:
        try:
            own, base = self.judge.embed([wave, self.read(trial.base)])
        except RedactError:
            return math.nan
        # equal waves are equally loud to the last bit, their cosine need not be 1 to it
        return round((own @ base).item(), 6)
