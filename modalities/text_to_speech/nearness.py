"""Voices near a redacted one pay for its redaction first: their clips come more often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core import Lesson

SHARE, TIMES = 1 / 6, 4


def crowd(
    lessons: Sequence[Lesson],
    embed: Callable[[list[Path]], Tensor],
    share: float = SHARE,
    times: int = TIMES,
) -> list[Lesson]:
    """The lessons, with those of retained clips near a redacted voice ``times`` times.

    What the student learns about a redacted voice spreads to whatever the encoder hears as similar;
    more distorted variants of exactly these clips hold it back.

    Args:
        lessons: Of clips, redacted and retained.
        embed: Clips to ``(clips, dim)``, by the encoder before any training: its likeness spreads.
        share: Of the retained clips, the nearest ones to any redacted voice.
        times: How often these come.
    """
    gone = list(dict.fromkeys(Path(str(row.asked)) for row in lessons if row.redacted))
    kept = list(dict.fromkeys(Path(str(row.asked)) for row in lessons if not row.redacted))
    near = round(share * len(kept))
    if not gone or not near or times < 2:
        return list(lessons)
    folders = list(dict.fromkeys(clip.parent for clip in gone))
    heard = normalize(embed(gone), dim=1)
    voices = torch.stack([heard[[clip.parent == folder for clip in gone]].mean(0) for folder in folders])
    likeness = (normalize(embed(kept), dim=1) @ normalize(voices, dim=1).T).amax(1)
    crowded = {str(kept[i]) for i in likeness.topk(near).indices.tolist()}
    return [
        row for row in lessons for _ in range(times if not row.redacted and str(row.asked) in crowded else 1)
    ]
