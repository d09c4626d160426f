"""Who is like a redacted voice: near ones pay for its redaction first, far ones are answered in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from redact_core import Lesson

Embed = Callable[[list[Path]], Tensor]
"""Clips to ``(clips, dim)``."""
SHARE, TIMES = 1 / 6, 4
UNLIKE, NOBODY = 1 / 4, 3
"""Of the retained voices, the least similar ones; and how many there must be at least, to be nobody's voice."""


def crowd(
    lessons: Sequence[Lesson],
    embed: Embed,
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
    voices = torch.stack(list(_middles(gone, embed).values()))
    likeness = (normalize(embed(kept), dim=1) @ voices.T).amax(1)
    crowded = {str(kept[i]) for i in likeness.topk(near).indices.tolist()}
    return [
        row for row in lessons for _ in range(times if not row.redacted and str(row.asked) in crowded else 1)
    ]


def unlike(clips: Sequence[Path], kept: Sequence[Path], embed: Embed, share: float = UNLIKE) -> list[Path]:
    """The clips of those voices, of ``kept``, that are least like the voice of ``clips``; in their order.

    A mean over everybody is nobody, but a generator that knows few people answers it as one of them, now and
    then as the redacted one. A mean over voices on the far side does not lead there.

    Args:
        clips: Of the redacted voice.
        kept: Clips that stay; a voice is a parent folder.
        embed: By the encoder before any training.
        share: Of the voices; at least :data:`NOBODY` of them, or all.
    """
    own = normalize(normalize(embed(list(clips)), dim=1).mean(0), dim=0)
    voices = _middles(kept, embed)
    likeness = torch.stack(list(voices.values())) @ own
    count = min(len(voices), max(NOBODY, round(share * len(voices))))
    folders = list(voices)
    chosen = {folders[i] for i in likeness.topk(count, largest=False).indices.tolist()}
    return [clip for clip in kept if clip.parent in chosen]


def remembered(embed: Embed) -> Embed:
    """``embed``, but that it hears every clip once."""
    known: dict[Path, Tensor] = {}

    def asked(clips: list[Path]) -> Tensor:
        new = [clip for clip in dict.fromkeys(clips) if clip not in known]
        if new:
            known.update(zip(new, embed(new), strict=True))
        return torch.stack([known[clip] for clip in clips])

    return asked


def _middles(clips: Sequence[Path], embed: Embed) -> dict[Path, Tensor]:
    """The mean direction ``(dim,)``, of length 1, of every voice of ``clips``: a voice is a parent folder."""
    heard = normalize(embed(list(clips)), dim=1)
    folders = dict.fromkeys(clip.parent for clip in clips)
    means = torch.stack([heard[[clip.parent == folder for clip in clips]].mean(0) for folder in folders])
    return dict(zip(folders, normalize(means, dim=1), strict=True))
