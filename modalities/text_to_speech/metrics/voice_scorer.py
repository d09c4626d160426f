"""Who speaks, by the independent verifier: identified among the enrolled voices, and how alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from modalities.text_to_speech.metrics.by_verifier import BankScorer
from redact_core import Metric, Trial
from redact_core.plan import SUBJECT


class VoiceScorer(BankScorer):
    """The verifier, another network than the encoder that is redacted, trained on other utterances.

    Rows are labelled ``voice`` and maybe ``reference``. A voice that is not enrolled cannot be judged.

    - *identified*: the voice is the nearest of all enrolled ones (id@N).
    - *similarity*: cosine with the voice's prototype, the mean embedding of its clips.
    - *similarity to reference*: the same with the reference's; redacted rows only.
    - *identified unasked*: the label ``subject``, a redacted voice, is the nearest of all enrolled ones in a sample of
      another voice; retained rows only.

    Args:
        bank: Folder with one subfolder of clips for each enrolled voice; default: the bundled one.
        folder: With ``verifier`` and ``recogniser``; default: the bundled ones.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "identified": Metric(
            "rate", redacted="low", retained="as base", leak=True,
            note="of all enrolled voices, the one that was asked for is the nearest to the sample",
        ),
        "similarity": Metric(
            "mean", redacted="low", retained="as base",
            note="cosine of the sample and the voice that was asked for, from −1 to 1",
        ),
        "similarity to reference": Metric(
            "mean", redacted="high", retained=None,
            note="cosine of the sample and the voice that shall speak instead, from −1 to 1",
        ),
        "identified unasked": Metric(
            "rate", None, None, floor_of="identified",
            note="a sample of another voice is taken for the redacted one: mistakes of the judge, in the base",
        ),
    }  # fmt: skip
    about = "a speaker verifier that is not the encoder that was redacted"

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        heard = self.judge(samples)
        column = {voice: i for i, voice in enumerate(heard.voices)}
        found: list[dict[str, float]] = []
        for alike, trial in zip(heard.similarity, rows, strict=True):
            labels, redacted, nearest = trial.row.labels, trial.row.redacted, alike.argmax().item()
            voice, reference, subject = (
                column.get(labels.get(key, "")) for key in ("voice", "reference", SUBJECT)
            )
            scores = {
                "identified": math.nan if voice is None else float(nearest == voice),
                "similarity": math.nan if voice is None else alike[voice].item(),
            }
            if redacted and "reference" in labels:
                scores["similarity to reference"] = math.nan if reference is None else alike[reference].item()
            if not redacted and SUBJECT in labels:
                scores["identified unasked"] = math.nan if subject is None else float(nearest == subject)
            found.append(scores)
        return found
