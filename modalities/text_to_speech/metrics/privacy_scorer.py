"""Whether any redacted voice comes back, and how random the voice has become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from modalities.sound.clips import read_clip
from modalities.text_to_speech.metrics.by_verifier import BankScorer
from modalities.text_to_speech.voices.planning import SEPARATOR
from redact_core import Metric, Trial


class PrivacyScorer(BankScorer):
    """Worst case over all redacted voices, and spk-ZRF; by the independent verifier.

    Rows are labelled ``voice`` and ``redacted voices``, joined by ``|``.

    - *similarity to any redacted voice*: the largest cosine with one of their prototypes, whoever was
      asked for; what counts when several people were redacted (Avg-FSSIM of targeted speaker
      poisoning, 2026).
    - *spk-ZRF*: ``1 - JSD(softmax(z(e)), softmax(z(r)))`` with e the sample's embedding, r that of a
      random voice, and z the standardisation over the dimensions (zero-retrain forgetting of speaker
      identity, 2025). Here the divergence is divided by ln 2, so that the scale is 0 to 1; published
      code also uses natural logarithms, where it ends at 1 - ln 2. The random voice is a real clip of
      another enrolled voice, drawn by the row's seed. It moves little: read it beside others.

    Args:
        bank: Folder with one subfolder of clips for each enrolled voice; default: the bundled one.
        folder: With ``verifier``; default: the bundled one.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "similarity to any redacted voice": Metric(
            "mean",
            redacted="low",
            retained="as base",
            note="the largest cosine with any redacted voice, −1 to 1",
        ),
        "spk-ZRF": Metric(
            "mean",
            "high",
            "as base",
            note="how random the speaker is, 0 to 1: 1 if spoken as a random voice would (zero retrain forgetting)",
        ),
    }

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        embedded = self.judge.embed(samples)
        column = {voice: i for i, voice in enumerate(self.judge.voices)}
        found: list[dict[str, float]] = []
        for heard, trial in zip(embedded, rows, strict=True):
            labels = trial.row.labels
            gone = [column.get(name) for name in labels.get("redacted voices", "").split(SEPARATOR) if name]
            scores: dict[str, float] = {}
            if gone:
                known = [i for i in gone if i is not None]
                alike = self.judge.prototypes[known] @ heard
                # a voice that is not enrolled might be the nearest one
                scores["similarity to any redacted voice"] = (
                    alike.max().item() if len(known) == len(gone) else math.nan
                )
            scores["spk-ZRF"] = 1 - divergence(heard, self._random(labels.get("voice", ""), trial.row.seed))
            found.append(scores)
        return found

    def _random(self, voice: str, seed: int) -> Tensor:
        """``(dim,)`` of a real clip of another enrolled voice."""
        others = [clips for name, clips in self.bank.voices.items() if name != voice]
        generator = torch.Generator().manual_seed(seed)
        clips = others[int(torch.randint(len(others), (), generator=generator))]
        clip = clips[int(torch.randint(len(clips), (), generator=generator))]
        return self.judge.embed([read_clip(clip)])[0]


def divergence(a: Tensor, b: Tensor) -> float:
    """Jensen-Shannon divergence in bits, 0 to 1, of the softmax of standardised vectors ``(dim,)``.

    >>> divergence(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0]))
    0.0
    """
    p, q = (torch.softmax(((x - x.mean()) / x.std(correction=0)).double(), 0) for x in (a, b))
    middle = (p + q) / 2
    both = [(x * (x.log2() - middle.log2())).sum() for x in (p, q)]
    return max(0.0, (both[0] + both[1]).item() / 2)
