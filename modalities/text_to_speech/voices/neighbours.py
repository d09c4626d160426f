"""Who is like a redacted voice: near ones pay for its redaction first, far ones are answered in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


def repeat_neighbours(
    lessons: Sequence[Lesson],
    embed: Embed,
    share: float = SHARE,
    times: int = TIMES,
) -> list[Lesson]:
    """The lessons, with those of retained clips near a redacted voice ``times`` times.

    What the student learns about a redacted voice spreads to whatever the encoder places near;
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
    own = _own(clips, embed)
    voices = _middles(kept, embed)
    likeness = torch.stack(list(voices.values())) @ own
    count = min(len(voices), max(NOBODY, round(share * len(voices))))
    folders = list(voices)
    chosen = {folders[i] for i in likeness.topk(count, largest=False).indices.tolist()}
    return [clip for clip in kept if clip.parent in chosen]


@dataclass(frozen=True)
class Standing:
    """How like a redacted voice something is, to the encoder; cosines."""

    likeness: float
    """Of the reference."""
    strangers: float
    """Of retained voices: half of them are more like it, half less."""
    own: float
    """Of the voice's own clips, on average."""

    @property
    def near(self) -> bool:
        """Whether the reference is nearer to the voice's own clips than to strangers."""
        return self.likeness > (self.strangers + self.own) / 2

    def __str__(self) -> str:
        # adding 0.0 makes -0.0 a 0
        likeness, strangers = (round(x, 2) + 0.0 for x in (self.likeness, self.strangers))
        return f"likeness {likeness:.2f} by the encoder, where strangers have {strangers:.2f}"


@dataclass(frozen=True)
class Stranger:
    """A reference that was chosen among retained voices."""

    clips: list[Path]
    """Whose mean it is."""
    voices: tuple[str, ...]
    """Folders of the clips, by name."""
    standing: Standing


def stranger(
    clips: Sequence[Path],
    others: Sequence[Sequence[Path]],
    kept: Sequence[Path],
    embed: Embed,
    share: float = UNLIKE,
) -> Stranger:
    """A mean of the least similar retained voices that is a stranger to every redacted voice, by the encoder itself.

    The more voices a mean takes, the more it is like everybody, the redacted person included. So it
    begins with a quarter of the voices, the least similar ones, and goes on with one voice less until the mean is no more like the
    redacted voice than the median of the retained ones is. One voice alone is taken in any case.

    Args:
        clips: Of the redacted voice.
        others: Clips of each other voice that is redacted with it.
        kept: Clips that stay; a voice is a parent folder.
        embed: By the encoder before any training.
        share: Of the voices, to begin with.
    """
    voices = _middles(kept, embed)
    folders, middles = list(voices), torch.stack(list(voices.values()))
    owns = [_own(some, embed) for some in (clips, *others)]
    levels = [(middles @ own).median() for own in owns]
    above = torch.stack([middles @ own - level for own, level in zip(owns, levels, strict=True)]).amax(0)
    order = [folders[i] for i in above.argsort().tolist()]
    count = max(1, round(share * len(order)))
    while True:
        taken = order[:count]
        members = [clip for clip in kept if clip.parent in taken]
        mean = normalize(embed(members).mean(0), dim=0)
        if count == 1 or all(mean @ own <= level for own, level in zip(owns, levels, strict=True)):
            return Stranger(
                members, tuple(folder.name for folder in taken), standing(clips, members, kept, embed)
            )
        count -= 1


def standing(
    clips: Sequence[Path], reference: Sequence[Path], kept: Sequence[Path], embed: Embed
) -> Standing:
    """How like the voice of ``clips`` the mean over the clips ``reference`` is, beside strangers and its own clips."""
    own = _own(clips, embed)
    mean = normalize(embed(list(reference)).mean(0), dim=0)
    strangers = torch.stack(list(_middles(kept, embed).values())) @ own
    each = normalize(embed(list(clips)), dim=1) @ own
    return Standing((mean @ own).item(), strangers.median().item(), each.mean().item())


def remembered(embed: Embed) -> Embed:
    """``embed``, but every clip is embedded once."""
    known: dict[Path, Tensor] = {}

    def asked(clips: list[Path]) -> Tensor:
        new = [clip for clip in dict.fromkeys(clips) if clip not in known]
        if new:
            known.update(zip(new, embed(new), strict=True))
        return torch.stack([known[clip] for clip in clips])

    return asked


def _own(clips: Sequence[Path], embed: Embed) -> Tensor:
    """The mean direction ``(dim,)``, of length 1, of one voice."""
    return normalize(normalize(embed(list(clips)), dim=1).mean(0), dim=0)


def _middles(clips: Sequence[Path], embed: Embed) -> dict[Path, Tensor]:
    """The mean direction ``(dim,)``, of length 1, of every voice of ``clips``: a voice is a parent folder."""
    heard = normalize(embed(list(clips)), dim=1)
    folders = dict.fromkeys(clip.parent for clip in clips)
    means = torch.stack([heard[[clip.parent == folder for clip in clips]].mean(0) for folder in folders])
    return dict(zip(folders, normalize(means, dim=1), strict=True))
