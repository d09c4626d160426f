"""Is every clip of a voice really of that voice? A clip of somebody who stays would redact that person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from modalities.text_to_speech.clips import read_clip


@torch.no_grad()
def misplaced(clips: Sequence[Path], others: Sequence[Path], verifier: nn.Module) -> dict[Path, str]:
    """Clips that sound more like a retained voice than like the rest of their own folder.

    Args:
        clips: Of one redacted voice; fewer than three tell nothing, and nothing is returned.
        others: Clips of retained voices; a voice is a parent folder.
        verifier: ``{"waveform": (1, samples)}`` to a conditioning; not the encoder to be redacted.

    Returns:
        Clip -> name of the folder that it sounds like.
    """
    if len(clips) < 3 or not others:
        return {}
    own = _embed(clips, verifier)
    voices: dict[str, list[Tensor]] = {}
    for clip, row in zip(others, _embed(others, verifier), strict=True):
        voices.setdefault(clip.parent.name, []).append(row)
    names = list(voices)
    prototypes = normalize(torch.stack([torch.stack(rows).mean(0) for rows in voices.values()]), dim=1)
    found = {}
    for i, clip in enumerate(clips):
        rest = normalize(torch.cat([own[:i], own[i + 1 :]]).mean(0), dim=0)
        likeness = prototypes @ own[i]
        if likeness.max() > rest @ own[i]:
            found[clip] = names[int(likeness.argmax())]
    return found


def _embed(clips: Sequence[Path], verifier: nn.Module) -> Tensor:
    rows = [verifier({"waveform": read_clip(clip)[None]}).hidden[0, 0] for clip in clips]
    return normalize(torch.stack(rows), dim=1)
